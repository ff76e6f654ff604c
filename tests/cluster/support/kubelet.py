"""Plays the node: pods of Jobs end with the result that their program would leave, pods of
Deployments become ready. Everything else is the real controller-manager's."""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from lockstep_core.protocol import labels
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.result import (
    BuildFacts,
    EvaluationFacts,
    Program,
    RecallFacts,
    Result,
    SampleStatistics,
    TrainingFacts,
)
from tests.cluster.support.control_plane import ControlPlane

ROWS = 900
PERFECT = SampleStatistics(n=1000, mean=1.0, standard_deviation=0.0)
GAIN = SampleStatistics(n=1000, mean=0.5, standard_deviation=0.1)


def digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def space(release: str) -> str:
    return hashlib.sha256(release.encode()).hexdigest()[:12]


def result_of(component: str, release: str, index: str) -> Result:
    """The result of a program of a release that went well."""
    if component == "train":
        training = TrainingFacts(
            artifact_digest=digest(f"artifact {release}"),
            model_digest=digest(f"model {release}"),
            preprocessing_digest=digest("preprocessing"),
            pooling="None",
            normalisation="L2",
            dimension=64,
            space_id=space(release),
            steps=10,
            train_items=ROWS,
            seconds=1.0,
        )
        return _result(Program.TRAIN, training=training)
    if component == "evaluate":
        recall = RecallFacts(k=1, candidate=PERFECT, baseline=PERFECT, gain_over_baseline=GAIN)
        evaluation = EvaluationFacts(
            artifact_digest=digest(f"artifact {release}"),
            dataset_digest=digest("dataset"),
            items=1000,
            classes=90,
            recall=(recall,),
            variance=0.01,
            mean_cosine=0.0,
        )
        return _result(Program.EVALUATE, evaluation=evaluation)
    build = BuildFacts(
        index=index,
        build_digest=digest(f"build {release} {index}"),
        space_id=space(release),
        source_digest=digest("source"),
        rows=ROWS,
        expected_rows=ROWS,
        dimension=64,
        bytes=1 << 20,
        recall_k=10,
        recall=PERFECT,
        seconds=1.0,
    )
    return _result(Program.BUILD, build=build)


def _result(program: Program, **facts: Any) -> Result:
    return Result(program=program, exit_code=ExitCode.OK, reason="Completed", **facts)


@dataclass
class Kubelet:
    """Runs in a thread between `start` and `stop`, for the pods of one namespace."""

    control_plane: ControlPlane
    namespace: str
    interval: float = 0.3
    _stopped: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> Kubelet:
        self._thread = threading.Thread(target=self._run, name="kubelet", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(30)

    def _run(self) -> None:
        while not self._stopped.wait(self.interval):
            listed = self.control_plane.kubectl(
                "get", "pods", "-n", self.namespace, "-o", "json", check=False
            )
            if listed.returncode != 0:
                continue
            for pod in json.loads(listed.stdout)["items"]:
                if pod["status"].get("phase") == "Pending" and not self._stopped.is_set():
                    self._advance(pod)

    def _advance(self, pod: dict[str, Any]) -> None:
        owner = pod["metadata"]["ownerReferences"][0]["kind"]
        status = self._ended(pod) if owner == "Job" else self._ready(pod)
        self.control_plane.kubectl(
            *("patch", "pod", pod["metadata"]["name"], "-n", self.namespace),
            *("--subresource=status", "--type=merge", "-p", json.dumps({"status": status})),
            check=False,
        )

    def _ended(self, pod: dict[str, Any]) -> dict[str, Any]:
        marks = pod["metadata"]["labels"]
        result = result_of(
            marks[labels.COMPONENT], marks[labels.RELEASE], marks.get(labels.INDEX, "")
        )
        terminated = {
            "exitCode": 0,
            "reason": "Completed",
            "message": result.to_json(),
            "startedAt": _now(),
            "finishedAt": _now(),
        }
        state = {"terminated": terminated}
        return {"phase": "Succeeded", "containerStatuses": _containers(pod, state, ready=False)}

    def _ready(self, pod: dict[str, Any]) -> dict[str, Any]:
        conditions = [
            {"type": name, "status": "True", "lastTransitionTime": _now()}
            for name in ("PodScheduled", "Initialized", "ContainersReady", "Ready")
        ]
        state = {"running": {"startedAt": _now()}}
        return {
            "phase": "Running",
            "conditions": conditions,
            "containerStatuses": _containers(pod, state, ready=True),
        }


def _containers(pod: dict[str, Any], state: dict[str, Any], *, ready: bool) -> list[dict[str, Any]]:
    return [
        {
            "name": container["name"],
            "image": container["image"],
            "imageID": container["image"],
            "ready": ready,
            "started": ready,
            "restartCount": 0,
            "state": state,
        }
        for container in pod["spec"]["containers"]
    ]


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
