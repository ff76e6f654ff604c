"""What the cluster told about a namespace, as it happened: one watch for each kind, no polling."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tests.e2e.support.kube import Kube, Object

Found = TypeVar("Found")


@dataclass(frozen=True)
class Seen:
    """An object as it was at a moment (seconds since the epoch)."""

    at: float
    object: Object

    @property
    def name(self) -> str:
        return str(self.object["metadata"]["name"])

    @property
    def status(self) -> Object:
        found: Object = self.object.get("status") or {}
        return found


@dataclass
class Watch:
    """Every state of the objects of `kinds` in a namespace, between `start` and `stop`."""

    kube: Kube
    namespace: str
    kinds: tuple[str, ...] = ("er", "em")
    states: list[Seen] = field(default_factory=list)
    _now: dict[tuple[str, str], Seen] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _processes: list[subprocess.Popen[str]] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)
    _stopped: bool = False

    def start(self) -> Watch:
        for kind in self.kinds:
            thread = threading.Thread(target=self._follow, args=(kind,), daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def stop(self) -> None:
        self._stopped = True
        for process in self._processes:
            process.kill()
        for thread in self._threads:
            thread.join(10)

    def now(self, kind: str, name: str) -> Seen | None:
        """The last state of an object; None when there is none."""
        with self._changed:
            return self._now.get((kind, name))

    def all(self, kind: str) -> list[Seen]:
        """The last states of all objects of a kind."""
        with self._changed:
            return [seen for (found, _), seen in self._now.items() if found == kind]

    def history(self, name: str, since: float = 0.0) -> list[Seen]:
        """The states that an EmbeddingRelease went through."""
        with self._changed:
            return [
                s
                for s in self.states
                if s.at >= since and s.name == name and s.object["kind"] == "EmbeddingRelease"
            ]

    def until(self, look: Callable[[], Found | None], *, what: str, seconds: float) -> Found:
        """The first truthy look, taken after each change (and once a second)."""
        deadline = time.monotonic() + seconds
        while True:
            found = look()
            if found:
                return found
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {seconds:.0f} s for {what}; {self._told()}")
            with self._changed:
                self._changed.wait(1.0)

    def _told(self) -> str:
        with self._changed:
            seen = [s for s in self._now.values() if s.object["kind"] == "EmbeddingModel"]
            return "; ".join(f"{s.name}: {s.status.get('message')}" for s in seen)

    def _follow(self, kind: str) -> None:
        while not self._stopped:
            arguments = ("get", kind, "-n", self.namespace, "--watch", "--output-watch-events")
            process = subprocess.Popen(
                [self.kube.kubectl_path, *arguments, "-o", "json"],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env={**os.environ, "KUBECONFIG": self.kube.kubeconfig},
            )
            self._processes.append(process)
            assert process.stdout is not None
            for event in _documents(process.stdout):
                self._take(kind, event)
            process.wait()
            time.sleep(0.5)

    def _take(self, kind: str, event: Object) -> None:
        found, at = event["object"], time.time()
        if "metadata" not in found or "name" not in found["metadata"]:
            return
        seen = Seen(at, found)
        key = (kind, seen.name)
        with self._changed:
            if event["type"] == "DELETED":
                self._now.pop(key, None)
            else:
                self._now[key] = seen
                self.states.append(seen)
            self._changed.notify_all()


def _documents(stream: Any) -> Iterator[Object]:
    """JSON documents that follow one another, each ending with a line `}`."""
    lines: list[str] = []
    for line in stream:
        lines.append(line)
        if line.rstrip("\n") == "}" or (line.startswith("{") and line.rstrip().endswith("}")):
            yield json.loads("".join(lines))
            lines = []
