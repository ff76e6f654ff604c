"""What is read of the cluster: a model with everything that belongs to it, at one moment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from lockstep_core.protocol.labels import MODEL
from lockstep_kubectl.api import Api, ApiError, Object, core_path, own_path

NOT_INSTALLED = "this cluster has no EmbeddingModels: install the chart of Lockstep first"


class Unknown(Exception):
    """What was named is not there; the message says what is."""


@dataclass(frozen=True)
class Snapshot:
    """Raw objects of one model. `progress` is by pod, where a pod answered."""

    model: Object
    releases: tuple[Object, ...] = ()
    jobs: tuple[Object, ...] = ()
    pods: tuple[Object, ...] = ()
    deployments: tuple[Object, ...] = ()
    progress: dict[str, Object] = field(default_factory=dict)

    @property
    def namespace(self) -> str:
        return str(self.model["metadata"]["namespace"])

    @property
    def name(self) -> str:
        return str(self.model["metadata"]["name"])


def model_of(api: Api, namespace: str, name: str) -> Object:
    """One model. Raises Unknown with the names that there are."""
    try:
        return api.get(own_path("embeddingmodels", namespace, name))
    except ApiError as error:
        if error.code != 404:
            raise
        raise Unknown(_no_model(api, namespace, name)) from error


def _no_model(api: Api, namespace: str, name: str) -> str:
    there = [model["metadata"]["name"] for model in _models(api, namespace)]
    known = f"there are {', '.join(there)}" if there else "there is none; look elsewhere with -n"
    return f'no EmbeddingModel "{name}" in namespace {namespace}: {known}'


def _models(api: Api, namespace: str | None) -> list[Object]:
    try:
        return api.list(own_path("embeddingmodels", namespace))
    except ApiError as error:
        if error.code != 404:
            raise
        raise Unknown(NOT_INSTALLED) from error


def releases_of(api: Api, model: Object) -> tuple[Object, ...]:
    """The releases of a model, the oldest first."""
    metadata = model["metadata"]
    path = own_path("embeddingreleases", metadata["namespace"])
    return _sorted(api.list(path, f"{MODEL}={metadata['name']}"))


def read(api: Api, namespace: str | None, name: str | None) -> list[Snapshot]:
    """Snapshots of one model, of a namespace's models, or (None) of all. Raises Unknown."""
    if name is not None and namespace is not None:
        models = [model_of(api, namespace, name)]
    else:
        models = [m for m in _models(api, namespace) if name in (None, m["metadata"]["name"])]
    selector = MODEL if name is None else f"{MODEL}={name}"
    with ThreadPoolExecutor(max_workers=4) as readers:
        releases, jobs, pods, deployments = readers.map(
            lambda path: api.list(path, selector),
            (
                own_path("embeddingreleases", namespace),
                *(core_path(kind, namespace) for kind in ("jobs", "pods", "deployments")),
            ),
        )
    progress = _progress(api, [pod for pod in pods if _works(pod)])
    return [_of(model, releases, jobs, pods, deployments, progress) for model in models]


def _of(
    model: Object,
    releases: Sequence[Object],
    jobs: Sequence[Object],
    pods: Sequence[Object],
    deployments: Sequence[Object],
    progress: dict[tuple[str, str], Object],
) -> Snapshot:
    namespace, name = model["metadata"]["namespace"], model["metadata"]["name"]

    def own(objects: Iterable[Object]) -> tuple[Object, ...]:
        return tuple(
            each
            for each in objects
            if each["metadata"]["namespace"] == namespace
            and each["metadata"]["labels"].get(MODEL) == name
        )

    return Snapshot(
        model=model,
        releases=_sorted(own(releases)),
        jobs=own(jobs),
        pods=own(pods),
        deployments=own(deployments),
        progress={pod: report for (where, pod), report in progress.items() if where == namespace},
    )


def _sorted(releases: Iterable[Object]) -> tuple[Object, ...]:
    return tuple(sorted(releases, key=lambda release: int(release["spec"]["number"])))


def _works(pod: Object) -> bool:
    """Whether the pod of a Job runs now."""
    owners = pod["metadata"].get("ownerReferences") or []
    of_a_job = any(owner["kind"] == "Job" for owner in owners)
    return of_a_job and pod.get("status", {}).get("phase") == "Running"


def _progress(api: Api, pods: Sequence[Object]) -> dict[tuple[str, str], Object]:
    """What the pods say of their work. One that does not answer shows no bar, and harms nothing."""

    def ask(pod: Object) -> Object | None:
        try:
            return api.progress(pod["metadata"]["namespace"], pod["metadata"]["name"])
        except (ApiError, ValueError):
            return None

    if not pods:
        return {}
    with ThreadPoolExecutor(max_workers=8) as readers:
        answers = list(readers.map(ask, pods))
    return {
        (pod["metadata"]["namespace"], pod["metadata"]["name"]): answer
        for pod, answer in zip(pods, answers, strict=True)
        if answer is not None
    }
