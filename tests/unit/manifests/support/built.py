"""What the builders make of the samples; nothing here is a test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lockstep_operator import manifests
from lockstep_operator.api.objects import Object
from lockstep_operator.api.scaling import AutoscalingSpec
from lockstep_operator.manifests.scaling import Bounds
from tests.unit.manifests.support import samples


def imported_job() -> Object:
    """A release that imports, of a model that is trained by now: Jobs follow the release."""
    frozen: dict[str, Any] = {"training": None, "artifact": samples.ARTIFACT}
    return samples.job("import", samples.model(), samples.release(2, trained=False, **frozen))


def jobs(**spec: Any) -> dict[str, Object]:
    model, release = samples.model(**spec), samples.release(2)
    stable, frozen = samples.release(1, letter="f"), release.spec.indexes[0]
    return {
        "train": samples.job("train", model, release, stable=stable),
        "import": imported_job(),
        "evaluate": samples.job("evaluate", model, release, stable=stable),
        "build": samples.job("build", model, release, index=frozen, recipe=samples.index()),
    }


def serving(**spec: Any) -> dict[str, Object]:
    model, release = samples.model(**spec), samples.release(2)
    frozen = release.spec.indexes[0]
    return {
        "encoder": manifests.encoder_deployment(model, release),
        "index": manifests.index_deployment(model, release, frozen, samples.index(replicas=3)),
    }


def services() -> dict[str, Object]:
    model, release = samples.model(), samples.release(2)
    return {
        "encoder": manifests.encoder_service(release),
        "index": manifests.index_service(release, release.spec.indexes[0]),
        "entry": manifests.entry_service(model, release),
    }


def pod_of(found: Object) -> Object:
    return dict(found["spec"]["template"]["spec"])


def container_of(found: Object) -> Object:
    (container,) = pod_of(found)["containers"]
    return dict(container)


def config_of(found: Object) -> str:
    (text,) = [e["value"] for e in container_of(found)["env"] if e["name"] == "LOCKSTEP_CONFIG"]
    return str(text)


def everything() -> Iterator[Object]:
    yield from jobs().values()
    yield from serving().values()
    yield from services().values()
    scaling = AutoscalingSpec(max_replicas=3)
    yield manifests.encoder_autoscaler(scaling, samples.release(2), Bounds(1, 3))


WORKLOADS = {**jobs(), **serving()}
