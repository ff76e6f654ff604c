"""PersistentVolumes on the node's disk: nothing in a development cluster makes them."""

from __future__ import annotations

import json
from typing import Any, Protocol

from devcluster.report import DevclusterError, step

SHIPPED = "lockstep-artifacts"
STORAGE_CLASS = "lockstep-dev"
# The user that distroless images and ours run as.
OWNER = 65532
_FLAGS = ("--server-side", "--force-conflicts", "--field-manager=devcluster")


class Kubectl(Protocol):
    def __call__(self, *arguments: str, stdin: str = "") -> str: ...


def manifest(name: str, path: str, claim: str | None) -> dict[str, Any]:
    """A volume of 10 GiB at a folder of the node, kept when its claim goes."""
    spec: dict[str, Any] = {
        "accessModes": ["ReadWriteMany", "ReadWriteOnce", "ReadOnlyMany"],
        "capacity": {"storage": "10Gi"},
        "hostPath": {"path": path, "type": "Directory"},
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": STORAGE_CLASS,
    }
    if claim:
        namespace, slash, claim_name = claim.partition("/")
        if not (slash and namespace and claim_name):
            raise DevclusterError(f"--claim {claim!r} is not NAMESPACE/NAME")
        spec["claimRef"] = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "namespace": namespace,
            "name": claim_name,
        }
    metadata = {"name": name, "labels": {"lockstep.dev/devcluster": "volume"}}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": spec}


def _phase(kubectl: Kubectl, name: str) -> str | None:
    volume = kubectl("get", "pv", name, "--ignore-not-found", "-o", "json")
    if not volume.strip():
        return None
    return str(json.loads(volume).get("status", {}).get("phase", "Pending"))


def create(kubectl: Kubectl, name: str, path: str, claim: str | None = None) -> None:
    """Create a volume, or make one whose claim was deleted free to be bound again.

    A volume that is bound is left alone. The data stays in every case.
    """
    phase = _phase(kubectl, name)
    if phase == "Bound":
        step(f"volume {name} is bound; left as it is")
        return
    if phase in ("Released", "Failed") or (phase and claim):
        # The old claim's uid in the reference keeps a claim made anew from binding.
        patch = '{"spec":{"claimRef":null}}'
        kubectl("patch", "pv", name, "--type=merge", "-p", patch)
    wanted = json.dumps(manifest(name, path, claim))
    kubectl("apply", *_FLAGS, "-f", "-", stdin=wanted)
    step(f"volume {name} is free{f' for {claim}' if claim else ''}")


def delete(kubectl: Kubectl, name: str) -> None:
    """Delete a volume that no claim uses."""
    if _phase(kubectl, name) == "Bound":
        raise DevclusterError(f"volume {name} is bound: delete its claim first")
    kubectl("delete", "pv", name, "--ignore-not-found", "--timeout=30s")
