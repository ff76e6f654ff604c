"""One namespace with a volume, a data set, a model and its index: the stage of a test."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.support.kube import Kube, Object, devcluster, wait_until

CLAIM = "lockstep-artifacts"
DATASET = "file:///artifacts/datasets/glyphs.npz"
RESTRICTED: Object = {
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "runAsGroup": 65532,
    "fsGroup": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER: Object = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def merge(base: Object, changes: Object) -> Object:
    """A deep copy of `base` with `changes` laid over it."""
    found = copy.deepcopy(base)
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(found.get(key), dict):
            found[key] = merge(found[key], value)
        else:
            found[key] = copy.deepcopy(value)
    return found


@dataclass
class World:
    """Everything happens in `namespace`; the model and its index are both called `name`."""

    kube: Kube
    namespace: str
    name: str = "glyphs"
    artifacts: Object = field(
        default_factory=lambda: {"uri": "file:///artifacts", "claimName": CLAIM}
    )
    dataset: str = DATASET

    def open(self) -> None:
        """Makes the namespace, its volume and its claim."""
        devcluster("volume", f"e2e-{self.namespace}", "--claim", f"{self.namespace}/{CLAIM}")
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.kube.apply(
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": self.namespace, "labels": labels},
            },
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": CLAIM, "namespace": self.namespace},
                "spec": {
                    "storageClassName": "lockstep-dev",
                    "volumeName": f"e2e-{self.namespace}",
                    "accessModes": ["ReadWriteMany"],
                    "resources": {"requests": {"storage": "1Gi"}},
                },
            },
        )
        # A pod that is scheduled at the moment when its claim is bound may be looked at again only
        # five minutes later.
        wait_until(self._is_bound, what="the claim to be bound")

    def _is_bound(self) -> bool:
        claim = self.kube.get(self.namespace, "persistentvolumeclaim", CLAIM) or {}
        return bool(claim.get("status", {}).get("phase") == "Bound")

    def close(self) -> None:
        """Removes the namespace and its volume."""
        self.kube.run("delete", "namespace", self.namespace, "--ignore-not-found", "--wait=true")
        devcluster("volume", f"e2e-{self.namespace}", "--delete")

    def job(self, name: str, image: str, *, command: list[str] | None, args: list[str]) -> Object:
        """A Job's pod with the artifact volume at /artifacts; returns the finished Job."""
        container: Object = {
            "name": "main",
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "args": args,
            "securityContext": CONTAINER,
            "volumeMounts": [{"name": "artifacts", "mountPath": "/artifacts"}],
        }
        if command:
            container["command"] = command
        pod = {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": RESTRICTED,
            "containers": [container],
            "volumes": [{"name": "artifacts", "persistentVolumeClaim": {"claimName": CLAIM}}],
        }
        self.kube.apply(
            {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "metadata": {"name": name, "namespace": self.namespace},
                "spec": {"backoffLimit": 0, "template": {"spec": pod}},
            }
        )

        def ended() -> Object | None:
            job = self.kube.get(self.namespace, "job", name) or {}
            done = [c for c in job.get("status", {}).get("conditions", []) if c["status"] == "True"]
            return job if any(c["type"] in ("Complete", "Failed") for c in done) else None

        job: Object = wait_until(ended, what=f"Job {name} to end")
        logs = self.kube.run("logs", "-n", self.namespace, f"job/{name}", check=False)
        assert job["status"].get("succeeded") == 1, f"Job {name} failed: {logs}"
        return job

    def draw(self, characters: int = 60) -> None:
        """Draws a small data set on the cluster, as the example does."""
        path = "/artifacts/datasets/glyphs.npz"
        args = ["--output", path, "--characters", str(characters)]
        self.job("draw", "lockstep.local/lockstep/glyphs:dev", command=None, args=args)

    def python(self, name: str, code: str) -> str:
        """Runs Python with the volume at hand (read and write); what it printed."""
        command = ["/opt/venv/bin/python", "-c"]
        self.job(name, "lockstep.local/lockstep/glyphs:dev", command=command, args=[code])
        return self.kube.run("logs", "-n", self.namespace, f"job/{name}")

    def model(self, **changes: Any) -> Object:
        """A small EmbeddingModel that trains in seconds, with changes laid over its spec."""
        spec: Object = {
            "artifacts": self.artifacts,
            "training": {
                "data": {
                    "uri": self.dataset,
                    "format": "NPZ",
                    "split": {"by": "Class", "evalFraction": "0.3", "seed": 0},
                },
                "encoder": {"kind": "CNN", "dimension": 32, "width": 16},
                "batch": {"classes": 16, "perClass": 4},
                "budget": {"maxSteps": 60},
            },
            "serving": {"replicas": 1},
            "rollout": {
                "gates": [
                    {
                        "name": "relevance",
                        "type": "Recall",
                        "k": 1,
                        "min": "0.80",
                        "minSamples": 100,
                    }
                ]
            },
        }
        return {
            "apiVersion": "lockstep.dev/v1alpha1",
            "kind": "EmbeddingModel",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": merge(spec, changes),
        }

    def index(self, **changes: Any) -> Object:
        """The VectorIndex of the model, with changes laid over its spec."""
        spec: Object = {
            "modelRef": {"name": self.name},
            "source": {"uri": self.dataset, "format": "NPZ"},
            "index": {"type": "HNSW"},
            "objectives": {"recall": {"k": 10, "min": "0.95"}},
            "replicas": 1,
        }
        return {
            "apiVersion": "lockstep.dev/v1alpha1",
            "kind": "VectorIndex",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": merge(spec, changes),
        }

    def em(self) -> Object:
        found = self.kube.get(self.namespace, "em", self.name)
        assert found is not None
        return found

    def status(self) -> Object:
        """The model's status, or {} while it is of an older generation."""
        model = self.em()
        status: Object = model.get("status") or {}
        current = status.get("observedGeneration") == model["metadata"]["generation"]
        return status if current else {}

    def release(self, number: int) -> Object | None:
        return self.kube.get(self.namespace, "er", f"{self.name}-r{number}")

    def stage(self, number: int) -> str | None:
        stage = ((self.release(number) or {}).get("status") or {}).get("stage")
        return None if stage is None else str(stage)

    def condition(self, kind: str) -> Object:
        found = [c for c in self.status().get("conditions", []) if c["type"] == kind]
        return found[0] if found else {}

    def until_stage(self, number: int, *stages: str, seconds: float = 240) -> str:
        """Waits until release N is at one of the stages."""

        def look() -> str | None:
            stage = self.stage(number)
            if stage == "Failed" and "Failed" not in stages:
                failed = json.dumps((self.release(number) or {}).get("status"), indent=1)
                raise AssertionError(f"r{number} failed: {failed}")
            return stage if stage in stages else None

        found: str = wait_until(look, what=f"r{number} at {stages}", seconds=seconds)
        return found

    def until_healthy(self, number: int, *, seconds: float = 240) -> Object:
        """Waits until release N serves and the model says so; returns its status."""
        self.until_stage(number, "Serving", seconds=seconds)
        wanted = f"{self.name}-r{number}"

        def look() -> Object | None:
            status = self.status()
            serves = (status.get("stable") or {}).get("release") == wanted
            return status if serves and status.get("phase") == "Healthy" else None

        found: Object = wait_until(look, what=f"{wanted} Healthy", seconds=60)
        return found

    def until_failed(self, number: int, *, seconds: float = 240) -> Object:
        """Waits until release N failed and the model says so; returns the model's status."""
        self.until_stage(number, "Failed", seconds=seconds)
        found: Object = wait_until(
            lambda: (s := self.status()) and s.get("phase") == "Degraded" and s,
            what="the model Degraded",
            seconds=60,
        )
        return found

    def annotate(self, verb: str, value: str) -> None:
        arguments = ("annotate", "em", self.name, "-n", self.namespace, "--overwrite")
        self.kube.run(*arguments, f"lockstep.dev/{verb}={value}")

    def patch(self, kind: str, spec: Object) -> None:
        """A merge patch of the spec of the model (`em`) or of its index (`vix`)."""
        arguments = ("patch", kind, self.name, "-n", self.namespace, "--type", "merge")
        self.kube.run(*arguments, "-p", json.dumps({"spec": spec}))
