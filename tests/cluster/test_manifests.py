"""What the builders make, by the word of a real API server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lockstep_operator import manifests
from lockstep_operator.api.objects import Object
from lockstep_operator.api.scaling import AutoscalingSpec
from lockstep_operator.manifests.quantities import canonical
from lockstep_operator.manifests.scaling import Bounds
from tests.cluster.support.control_plane import ControlPlane
from tests.unit.manifests.support import samples

TEMPLATE = {
    "resources": {
        "requests": {"cpu": "0.5", "memory": "1536Mi"},
        "limits": {"cpu": "1000m", "memory": "2048Mi", "nvidia.com/gpu": "1"},
    },
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}],
}


def built(**release_fields: Any) -> dict[str, Object]:
    model = samples.model(
        serving={"replicas": 2, "template": TEMPLATE},
        training={**samples.TRAINING, "template": TEMPLATE},
    )
    release = samples.release(2, **release_fields)
    frozen, recipe = release.spec.indexes[0], samples.index(template=TEMPLATE)
    stable = samples.release(1, letter="f")
    return {
        "train": samples.job("train", model, release, pull_secrets=("mirror",)),
        "import": samples.job(
            "import", model, samples.release(2, training=None, artifact=samples.ARTIFACT)
        ),
        "evaluate": samples.job("evaluate", model, release, stable=stable),
        "build": samples.job("build", model, release, index=frozen, recipe=recipe),
        "encoder": manifests.encoder_deployment(model, release),
        "autoscaler": manifests.encoder_autoscaler(
            AutoscalingSpec(max_replicas=3), release, Bounds(1, 3)
        ),
        "encoder-service": manifests.encoder_service(release),
        "index": manifests.index_deployment(model, release, frozen, recipe),
        "index-service": manifests.index_service(release, frozen),
        "entry": manifests.entry_service(model, release),
    }


WORKLOADS = [name for name, found in built().items() if "template" in found["spec"]]
SETTLED = ("--server-side", "--field-manager=lockstep", "-f", "-", "-o", "json")


def placed(found: Object, namespace: str) -> Object:
    return {**found, "metadata": {**found["metadata"], "namespace": namespace}}


def first_difference(wanted: Any, stored: Any, path: str = "") -> str | None:
    """Where the server stored something else than we wrote; what it adds does not count."""
    if isinstance(wanted, dict) and isinstance(stored, dict):
        for key, value in wanted.items():
            if key not in stored:
                return f"{path}.{key} is gone"
            if found := first_difference(value, stored[key], f"{path}.{key}"):
                return found
        return None
    if isinstance(wanted, list) and isinstance(stored, list) and len(wanted) == len(stored):
        pairs = enumerate(zip(wanted, stored, strict=True))
        texts = (first_difference(w, s, f"{path}[{i}]") for i, (w, s) in pairs)
        return next((text for text in texts if text), None)
    return None if wanted == stored else f"{path}: {wanted!r} became {stored!r}"


@pytest.mark.parametrize("store", [samples.VOLUME, samples.BUCKET], ids=["volume", "bucket"])
@pytest.mark.parametrize("name", built())
def test_the_server_stores_what_was_written(
    control_plane: ControlPlane, namespace: str, name: str, store: dict[str, Any]
) -> None:
    wanted = placed(built(artifacts=store)[name], namespace)
    verb = ("create", "-f", "-", "-o", "json") if wanted["kind"] == "Job" else ("apply", *SETTLED)
    stored = json.loads(control_plane.kubectl(*verb, "--dry-run=server", stdin=wanted).stdout)
    assert first_difference(wanted, stored) is None


@pytest.mark.parametrize("name", WORKLOADS)
def test_pod_security_restricted_accepts_the_pod(
    control_plane: ControlPlane, namespace: str, name: str
) -> None:
    control_plane.kubectl(
        "label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted"
    )
    control_plane.kubectl("create", "serviceaccount", "default", "-n", namespace, check=False)
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "one", "namespace": namespace},
        "spec": built()[name]["spec"]["template"]["spec"],
    }
    control_plane.kubectl("create", "--dry-run=server", "-f", "-", stdin=pod)
    spoiled = {**pod, "spec": {**pod["spec"], "hostNetwork": True}}
    done = control_plane.kubectl(
        "create", "--dry-run=server", "-f", "-", stdin=spoiled, check=False
    )
    assert "violates PodSecurity" in done.stderr


def test_the_entry_point_moves_in_one_write(control_plane: ControlPlane, namespace: str) -> None:
    model = samples.model()
    for number in (1, 2):
        entry = manifests.entry_service(model, samples.release(number))
        # The owner is not on this server, and its garbage collector would take the Service away.
        bare = {k: v for k, v in entry["metadata"].items() if k != "ownerReferences"}
        found = placed({**entry, "metadata": bare}, namespace)
        stored = json.loads(control_plane.kubectl("apply", *SETTLED, stdin=found).stdout)
        assert stored["spec"]["selector"] == entry["spec"]["selector"]
        assert stored["spec"]["selector"]["lockstep.dev/release"] == f"glyphs-r{number}"


QUANTITIES = [
    *("1000m", "0.5", "2.0", "1500m", "1024Mi", "1536Mi", "1.5Gi", "0.5Ki", "1024", "1000", "0"),
    *("1000M", "1.5G", "0Mi", "1000T", "1024Ti", "0.1Ki", "1.0001k", "0.001Mi", "123456789"),
    *("1023Ki", "1025Ki", "999.999Gi", "12.5m", "0.0001", "1k", "10k", "1000k", "0.25Gi"),
    *("1Pi", "2048Ti", "1P", "1E", "1Ei", ".5", "5u", "5n", "99Ei"),
]


def test_quantities_are_written_as_the_server_stores_them(
    control_plane: ControlPlane, namespace: str
) -> None:
    """A ResourceQuota rounds as a pod does, and needs no pod."""
    items = [
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": f"q{i}", "namespace": namespace},
            "spec": {"hard": {"requests.memory": text}},
        }
        for i, text in enumerate(QUANTITIES)
    ]
    stdin = {"apiVersion": "v1", "kind": "List", "items": items}
    shown = 'jsonpath={.spec.hard.requests\\.memory}{"\\n"}'
    done = control_plane.kubectl("create", "--dry-run=server", "-o", shown, "-f", "-", stdin=stdin)
    stored = done.stdout.split()
    assert dict(zip(QUANTITIES, stored, strict=True)) == {q: canonical(q) for q in QUANTITIES}
