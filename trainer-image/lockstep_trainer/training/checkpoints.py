"""Checkpoints: a run's whole state as one safetensors file with JSON in its header.

Where they lie, and that none is torn, is `checkpoint_store`. No pickle: what is read back is
tensors and JSON, after their digest was checked.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lockstep_core.artifacts import ArtifactError, StoreError
from lockstep_core.protocol.training import TrainingSpec
from lockstep_trainer.training.checkpoint_store import Checkpoints
from lockstep_trainer.training.errors import Refused, TakenOver

SCHEMA = "lockstep.dev/checkpoint/v1"
HEADER = "lockstep"
SHOWN_DIFFERENCES = 5


@dataclass(frozen=True)
class Saved:
    """What a checkpoint held: `state` is the JSON that `Keeper.save` was given."""

    step: int
    tensors: dict[str, Tensor]
    state: dict[str, Any]


@dataclass(frozen=True)
class Identity:
    """Whose checkpoints these are: they fit no other config and no other data set."""

    config: dict[str, Any]
    dataset: str

    @classmethod
    def of(cls, spec: TrainingSpec, dataset: str) -> Identity:
        return cls(spec.shaping(), dataset)


class Keeper:
    """Saves to and resumes from the store, for one process.

    Args:
        checkpoints: those of this release.
        identity: of this training.
        writer: names this process; the last one that began is the only one that saves.
        keep: newest checkpoints that stay.
        warn: called with everything that does not stop the training.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        identity: Identity,
        *,
        writer: str,
        keep: int,
        warn: Callable[[str], None],
    ) -> None:
        self._checkpoints, self._identity = checkpoints, identity
        self._writer, self._keep, self._warn = writer, keep, warn

    def begin(self) -> Saved | None:
        """Makes this process the writer; the newest whole checkpoint, or None to start anew.

        Raises:
            Refused: the checkpoint is of another config.
            StoreError: the store is out of reach.
        """
        self._checkpoints.claim(self._writer)
        for checkpoint in self._checkpoints.newest_first():
            with tempfile.TemporaryDirectory(prefix="lockstep-resume-") as folder:
                try:
                    saved = _read(self._checkpoints.fetch(checkpoint, Path(folder)))
                except (ArtifactError, SafetensorError, ValueError, KeyError) as error:
                    self._warn(
                        f"the checkpoint of step {checkpoint.step} is torn and skipped: {error}"
                    )
                    continue
            return saved if self._fits(saved) else None
        return None

    def _fits(self, saved: Saved) -> bool:
        saved_for = Identity(**saved.state["identity"])
        if differences := list(_differences(saved_for.config, self._identity.config)):
            shown = "; ".join(differences[:SHOWN_DIFFERENCES])
            raise Refused(
                f"the checkpoint of step {saved.step} in {self._checkpoints.folder} is of another"
                f" training ({shown}). Give this one another releaseUID, or begin it anew with"
                " --start-anew, which removes the checkpoint"
            )
        if saved_for.dataset != self._identity.dataset:
            self._warn(
                f"the data set is {self._identity.dataset}, but the checkpoint of step"
                f" {saved.step} was trained on {saved_for.dataset}: training begins anew. Pin it"
                " with data.digest to be told before"
            )
            self._checkpoints.remove_all()
            self._checkpoints.claim(self._writer)
            return False
        return True

    def save(self, step: int, tensors: dict[str, Tensor], state: dict[str, Any]) -> bool:
        """Keeps the state after `step`; False, with a warning, when the store did not take it.

        Raises TakenOver when another process trains this release by now.
        """
        whole = {"schema": SCHEMA, "step": step, "identity": vars(self._identity), **state}
        try:
            holder = self._checkpoints.writer()
            if holder != self._writer:
                raise TakenOver(
                    f"{holder or 'nobody'} trains this release now, so {self._writer} stops"
                    f" at step {step} and writes nothing more"
                )
            with tempfile.TemporaryDirectory(prefix="lockstep-checkpoint-") as folder:
                file = Path(folder) / "checkpoint"
                save_file(distinct(tensors), file, metadata={HEADER: json.dumps(whole)})
                self._checkpoints.save(step, file)
            self._checkpoints.prune(self._keep)
        except (StoreError, OSError) as error:
            self._warn(f"the checkpoint of step {step} was not kept: {error}")
            return False
        return True

    def discard(self) -> None:
        """Removes every checkpoint of the release; a warning says what cannot be removed."""
        try:
            self._checkpoints.remove_all()
        except StoreError as error:
            self._warn(f"checkpoints in {self._checkpoints.folder} were not removed: {error}")


def _read(file: Path) -> Saved:
    with safe_open(file, framework="pt") as opened:
        state = json.loads((opened.metadata() or {})[HEADER])
        # Cloned: the file is unmapped and gone as soon as this is done.
        tensors = {name: opened.get_tensor(name).clone() for name in opened.keys()}  # noqa: SIM118
    if state.get("schema") != SCHEMA:
        raise ValueError(f"its schema is {state.get('schema')}, not {SCHEMA}")
    return Saved(int(state["step"]), tensors, state)


def distinct(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """On the CPU, each with memory of its own: tied weights are written twice."""
    seen: set[int] = set()
    separate = {}
    for name, tensor in tensors.items():
        value = tensor.detach().cpu().contiguous()
        if value.data_ptr() in seen and value.numel():
            value = value.clone()
        seen.add(value.data_ptr())
        separate[name] = value
    return separate


def below(tensors: dict[str, Tensor], folder: str) -> dict[str, Tensor]:
    """Those named `<folder>/...`, by the rest of their names."""
    prefix = f"{folder}/"
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def _differences(before: Any, now: Any, path: str = "training") -> Iterator[str]:
    if isinstance(before, dict) or isinstance(now, dict):
        # An object that is all defaults was left out.
        before, now = before or {}, now or {}
        for key in sorted(before.keys() | now.keys()):
            yield from _differences(before.get(key), now.get(key), f"{path}.{key}")
    elif before != now:
        yield f"{path} was {_shown(before)}, is {_shown(now)}"


def _shown(value: Any) -> str:
    return "the default" if value is None else json.dumps(value)[:60]
