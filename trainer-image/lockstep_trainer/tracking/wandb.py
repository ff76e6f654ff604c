"""One release as one run of Weights & Biases.

Its client is a process of its own: at its exit the client waits for a server that hangs, and a
training must not.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lockstep_core.protocol.training.tracking import WandbSpec
from lockstep_trainer.tracking.tracker import Ending

CLIENT = "lockstep_trainer.tracking.wandb_client"


class Wandb:
    """A `Backend`. A release that goes on after its pod was lost goes on with its run."""

    name = "wandb"

    def __init__(
        self, spec: WandbSpec, *, release: str, uid: str, settings: Mapping[str, Any]
    ) -> None:
        self._spec, self._release, self._uid, self._settings = spec, release, uid, settings
        self._client: subprocess.Popen[str] | None = None
        self._log: Path | None = None

    def begin(self) -> None:
        # A pipe that nobody reads would stop the client once it is full.
        with tempfile.NamedTemporaryFile("w", prefix="wandb-", delete=False) as log:
            self._log = Path(log.name)
            self._client = subprocess.Popen(
                [sys.executable, "-m", CLIENT],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                text=True,
            )
        self._tell(
            project=self._spec.project,
            entity=self._spec.entity,
            uri=self._spec.uri,
            run=self._uid,
            name=self._release,
            settings=self._settings,
        )

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        self._tell(step=step, numbers=numbers)

    def end(self, ending: Ending, numbers: Mapping[str, float], files: Sequence[Path]) -> None:
        client = self._client
        assert client is not None and client.stdin is not None
        self._tell(ending=ending, numbers=numbers, files=[str(file) for file in files])
        client.stdin.close()
        if client.wait() != 0:
            raise self._failure()

    def abandon(self) -> None:
        if self._client is not None:
            self._client.kill()
            self._client.wait()

    def _tell(self, **what: Any) -> None:
        client = self._client
        assert client is not None and client.stdin is not None
        try:
            client.stdin.write(json.dumps(what) + "\n")
            client.stdin.flush()
        except BrokenPipeError:
            client.wait()
            raise self._failure() from None

    def _failure(self) -> RuntimeError:
        """What the client said last."""
        text = self._log.read_text(errors="replace") if self._log is not None else ""
        said = [line.strip() for line in text.splitlines() if line.strip()]
        return RuntimeError(said[-1] if said else "its client ended without a word")
