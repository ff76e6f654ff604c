"""What works for a release, and what serves it: Jobs with their progress, Deployments, pods."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from lockstep_core.protocol.crashes import CRASH_LOOP, MAIN, crash_of
from lockstep_core.protocol.labels import COMPONENT, INDEX
from lockstep_kubectl.api import Object
from lockstep_kubectl.gather import Snapshot

SHOWN_PODS = 3


@dataclass(frozen=True)
class Work:
    """A Job that is not over. `total` is 0 while nothing is known of its progress."""

    job: str
    component: str
    state: str
    phase: str = ""
    done: int = 0
    total: int = 0
    eta_seconds: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Server:
    """A Deployment of a release, and what keeps pods of it from being ready."""

    name: str
    component: str
    index: str | None
    ready: int
    asked: int
    troubles: tuple[str, ...] = ()


def work_of(snapshot: Snapshot, jobs: Iterable[Object]) -> tuple[Work, ...]:
    """The Jobs that are not over."""
    return tuple(_work(snapshot, job) for job in jobs if not _is_over(job))


def servers_of(snapshot: Snapshot, deployments: Iterable[Object]) -> tuple[Server, ...]:
    """The encoder first, then its indexes by name."""
    servers = [_server(snapshot, deployment) for deployment in deployments]
    return tuple(sorted(servers, key=lambda server: (server.index is not None, server.name)))


def _is_over(job: Object) -> bool:
    ended = (job.get("status") or {}).get("conditions") or ()
    return any(c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in ended)


def _work(snapshot: Snapshot, job: Object) -> Work:
    name, labels = job["metadata"]["name"], job["metadata"]["labels"]
    pods = _pods(snapshot, job["metadata"]["uid"])
    newest = max(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")), default=None)
    suspended = job["spec"].get("suspend")
    state = "Suspended" if suspended else "no pod yet" if newest is None else _job_pod(newest)
    progress = snapshot.progress.get(newest["metadata"]["name"], {}) if newest else {}
    return Work(
        job=name,
        component=labels.get(COMPONENT, ""),
        state=state,
        phase=progress.get("phase", ""),
        done=progress.get("done", 0),
        total=progress.get("total", 0),
        eta_seconds=progress.get("etaSeconds"),
        metrics=progress.get("metrics") or {},
        warnings=tuple(progress.get("warnings") or ()),
    )


def _server(snapshot: Snapshot, deployment: Object) -> Server:
    metadata, status = deployment["metadata"], deployment.get("status") or {}
    selector = deployment["spec"]["selector"]["matchLabels"]
    pods = [p for p in snapshot.pods if selector.items() <= p["metadata"]["labels"].items()]
    troubles = [f"{p['metadata']['name']}: {pod_state(p)}" for p in pods if not _is_ready(p)]
    return Server(
        name=metadata["name"],
        component=metadata["labels"].get(COMPONENT, ""),
        index=metadata["labels"].get(INDEX),
        ready=int(status.get("readyReplicas") or 0),
        asked=int(deployment["spec"].get("replicas", status.get("replicas") or 0)),
        troubles=tuple(troubles[:SHOWN_PODS]),
    )


def _pods(snapshot: Snapshot, job_uid: str) -> list[Object]:
    return [
        pod
        for pod in snapshot.pods
        if any(o["uid"] == job_uid for o in pod["metadata"].get("ownerReferences") or ())
    ]


def _job_pod(pod: Object) -> str:
    """A Job's pod has no readiness that anybody waits for."""
    state = pod_state(pod)
    return "Running" if state.startswith("not ready") else state


def _is_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def pod_state(pod: Object) -> str:
    """The pod's phase, or why it does not run: how it crashed, the kubelet's or the scheduler's
    reason."""
    status = pod.get("status") or {}
    if pod["metadata"].get("deletionTimestamp"):
        return "Terminating"
    containers = [
        *(status.get("initContainerStatuses") or ()),
        *(status.get("containerStatuses") or ()),
    ]
    crash = crash_of(pod)
    if crash is not None:
        where = "" if crash.container == MAIN else f" in container {crash.container}"
        return f"{CRASH_LOOP if crash.loops else 'crashed'}{where}, {crash.what()}"
    for container in containers:
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason"):
            return str(waiting["reason"])
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return str(condition.get("reason") or "Unschedulable")
    if status.get("phase") == "Running" and not _is_ready(pod):
        restarts = sum(int(container.get("restartCount") or 0) for container in containers)
        return f"not ready, {restarts} restarts" if restarts else "not ready"
    return str(status.get("phase") or "Pending")
