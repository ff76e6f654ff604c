"""The Job controller and its pods: a program starts, and ends as the test says."""

from __future__ import annotations

import json
from typing import Any, Self

from lockstep_operator.api.objects import Object
from tests.unit.decide.worlds.api_server import ApiServer
from tests.unit.decide.worlds.manifests import config_text, is_over, job_kind, owners
from tests.unit.decide.worlds.programs import Programs


class Jobs(ApiServer, Programs):
    """Jobs and their pods, from the first to the termination message."""

    def jobs(self, *, live_only: bool = True) -> list[str]:
        return [
            name
            for (kind, name), raw in sorted(self.objects.items())
            if kind == "Job" and not (live_only and is_over(raw))
        ]

    def start_pod(self, job: str, *, tell: bool = True) -> str:
        raw = self.objects["Job", job]
        uid, name = raw["metadata"]["uid"], f"{job}-x{self._serial}"
        template = raw["spec"]["template"]
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "labels": dict(template["metadata"]["labels"]),
                "ownerReferences": [{"kind": "Job", "name": job, "uid": uid}],
            },
            "spec": {"containers": [{"name": "main", "image": "trainer:1"}]},
            "status": {"phase": "Pending"},
        }
        self.create(pod, tell=tell)
        return name

    def refuse(self, release: str, digest: str, *, old: bool = False, tell: bool = True) -> None:
        """A server of the release ends by an artifact that is damaged in the store from now on; an
        `old` program names it in its message alone."""
        told: Object = {
            "schema": "lockstep.dev/result/v1",
            "program": "ServeEncoder",
            "exitCode": 6,
            "reason": "ArtifactRefused",
            "message": f"model.onnx of artifact {digest} is corrupt",
        }
        if not old:
            told["damage"] = {"artifact": digest, "file": "model.onnx"}
        labels = {"lockstep.dev/release": release, "lockstep.dev/component": "encoder"}
        ended = {"terminated": {"exitCode": 6, "message": json.dumps(told)}}
        container = {"name": "main", "image": "encoder:1", "ready": False, "state": ended}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"{release}-refuses", "labels": labels},
            "status": {"phase": "Running", "containerStatuses": [container]},
        }
        self.create(pod, tell=tell)
        self.rotten.add(digest)

    def pod_of(self, job: str) -> str | None:
        uid = self.objects["Job", job]["metadata"]["uid"]
        for (kind, name), raw in sorted(self.objects.items()):
            if kind == "Pod" and uid in owners(raw):
                return name
        return None

    def end_job(
        self,
        job: str,
        *,
        code: int = 0,
        message: str | None = None,
        condition: Object | None = None,
        pod_status: Object | None = None,
        tell: bool = True,
    ) -> None:
        """The program ended with `code` and a termination message; the Job controller saw it."""
        pod = self.pod_of(job) or self.start_pod(job, tell=tell)
        if message is None:
            message = self.result(job, code)
        terminated = {"exitCode": code, "message": message, "reason": "Error" if code else "Done"}
        status = {
            "phase": "Failed" if code else "Succeeded",
            "containerStatuses": [{"name": "main", "state": {"terminated": terminated}}],
        }
        self.set_status("Pod", pod, status | (pod_status or {}), tell=tell)
        found = condition or {"type": "Failed" if code else "Complete"}
        found = {"status": "True", "lastTransitionTime": self.text()} | found
        self.set_status("Job", job, {"conditions": [found]}, tell=tell)

    def end_jobs(self) -> Self:
        for job in self.jobs():
            self.end_job(job)
        return self

    def config(self, job: str) -> Object:
        (container,) = self.objects["Job", job]["spec"]["template"]["spec"]["containers"]
        found: Object = json.loads(config_text(container))
        return found

    def result(self, job: str, code: int = 0, **changes: Any) -> str:
        """What the program of a Job would report: the same facts for the same config."""
        kind = job_kind(self.objects["Job", job])
        return self.report(kind, self.config(job), code, **changes)
