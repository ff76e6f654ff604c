"""When a run is saved, what it goes on from, and how long it took over all its attempts."""

from __future__ import annotations

from lockstep_core.protocol.result import Finding
from lockstep_core.protocol.training import TrainingSpec
from lockstep_trainer.training import diagnostics
from lockstep_trainer.training.hooks import Hooks
from lockstep_trainer.training.machine import Machine
from lockstep_trainer.training.record import Record

LAST_SAVE_SECONDS = 30.0
"""A run of which less would be lost is not saved once more before it is measured and exported."""


class Saving:
    """`resumed` is the step that the run went on from, `kept` that of the newest checkpoint."""

    def __init__(self, machine: Machine, spec: TrainingSpec, hooks: Hooks) -> None:
        self._machine, self._spec, self._hooks = machine, spec, hooks
        self.resumed: int | None = None
        self.kept: int | None = None
        self._began = self._saved_at = hooks.clock()

    def resume(self) -> Record:
        """The record of the newest checkpoint, whose state the machine has then; or a new one."""
        keeper = self._hooks.keeper
        saved = keeper.begin() if keeper is not None else None
        if saved is None:
            return Record()
        record = Record.from_state(saved.state, saved.tensors)
        if record.rewinds:
            self._machine.begin(self._spec, step=record.segment, rewinds=record.rewinds)
        self._machine.unpack(saved.tensors, saved.state["optimiser"], step=saved.step)
        self.resumed = self.kept = saved.step
        self._hooks.resumed(saved.step)
        return record

    def seconds(self, record: Record) -> float:
        """Seconds of training, those of earlier attempts among them."""
        return record.seconds + self._hooks.clock() - self._began

    def is_due(self, step: int) -> bool:
        if self._hooks.keeper is None:
            return False
        policy = self._spec.checkpoint
        due = policy.every_steps is not None and step % policy.every_steps == 0
        late = self._hooks.clock() - self._saved_at >= policy.every_seconds
        # Asked in any case: a request is used up by whichever checkpoint is saved next.
        return self._hooks.save_now() or due or late

    def save(self, record: Record) -> Finding | None:
        """A checkpoint of now, unless its numbers are broken."""
        keeper = self._hooks.keeper
        broken = record.curve.fetch()
        if broken is not None:
            return diagnostics.not_finite(broken, self._spec)
        if keeper is None:
            return None
        record.seconds, self._began = self.seconds(record), self._hooks.clock()
        tensors, rest = self._machine.pack()
        if keeper.save(record.step, tensors | record.tensors(), record.state(rest)):
            self.kept = record.step
        self._saved_at = self._hooks.clock()
        return None

    def save_at_end(self, record: Record) -> None:
        """What comes after the last step takes long enough for a pod to be lost meanwhile."""
        if self._hooks.keeper and self._hooks.clock() - self._saved_at >= LAST_SAVE_SECONDS:
            self.save(record)
