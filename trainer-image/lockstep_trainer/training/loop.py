"""The training loop: steps, evaluations on the way, rewinds, checkpoints, and when to end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from lockstep_core.datasets.dataset import Strings
from lockstep_core.encoding.ragged import Prepared
from lockstep_core.protocol.result import Finding, FindingName
from lockstep_core.protocol.training import CollapseAction, StoppingMetric, TrainingSpec
from lockstep_trainer.distributed.process_group import ALONE, ProcessGroup
from lockstep_trainer.networks import Network
from lockstep_trainer.training import diagnostics
from lockstep_trainer.training.curve import REPORT_EVERY, batch_variance
from lockstep_trainer.training.errors import Diverged, Stopped, reason_of
from lockstep_trainer.training.findings import Findings
from lockstep_trainer.training.hooks import Hooks
from lockstep_trainer.training.machine import REWIND_SCALE, Machine, Step
from lockstep_trainer.training.outcome import Training
from lockstep_trainer.training.precision import prepare, reproducible
from lockstep_trainer.training.record import Mined, Record
from lockstep_trainer.training.saving import Saving


def train(
    network: Network,
    inputs: Prepared,
    labels: Strings,
    spec: TrainingSpec,
    *,
    device: torch.device,
    hooks: Hooks | None = None,
    group: ProcessGroup = ALONE,
) -> Training:
    """Trains `network`, which has its fresh weights, in place and leaves it on `device`.

    On one machine's CPU, with the same number of threads, the same arguments give the same weights
    bit for bit, in one run or in many that each go on from a checkpoint of the one before.

    Args:
        inputs: the training items, as `network.preprocessing` prepares them.
        labels: their classes.
        hooks: what the run calls on its way.
        group: of several processes, this being process 0; the others `assist` meanwhile.

    Raises:
        Stopped: `hooks.stop` said so.
        Diverged: the embeddings collapsed or numbers were not finite, and no rewind was left.
        Refused, TakenOver, StoreError: as `Keeper` raises them.
        MemberLost: another process is gone.
    """
    with _own_randomness(spec, device):
        return _Run(network, inputs, labels, spec, device, hooks or Hooks(), group).go()


def assist(
    network: Network,
    inputs: Prepared,
    labels: Strings,
    spec: TrainingSpec,
    *,
    device: torch.device,
    group: ProcessGroup,
    stop: Callable[[], bool] = lambda: False,
    warn: Callable[[str], None] = lambda text: None,
) -> None:
    """Does the share of a process that is not 0, until process 0 is done.

    Arguments as of `train`; `stop` tells process 0 to end. Raises MemberLost.
    """
    with _own_randomness(spec, device):
        machine = Machine(network, inputs, labels, spec, device, group)
        machine.trunk = prepare(network, spec.precision, machine.sample, device=device, warn=warn)
        machine.follow(stop)


@contextmanager
def _own_randomness(spec: TrainingSpec, device: torch.device) -> Iterator[None]:
    """Draws that depend on the spec alone, and leave those of the caller as they were."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), reproducible(spec.precision.deterministic):
        torch.manual_seed(spec.seed)
        yield


class _Run:
    def __init__(
        self,
        network: Network,
        inputs: Prepared,
        labels: Strings,
        spec: TrainingSpec,
        device: torch.device,
        hooks: Hooks,
        group: ProcessGroup,
    ) -> None:
        self._spec, self._hooks = spec, hooks
        self._machine = Machine(network, inputs, labels, spec, device, group)
        can_rewind = spec.collapse.action is CollapseAction.REWIND
        self._initial = self._machine.weights() if can_rewind else None
        self._machine.trunk = prepare(
            network, spec.precision, self._machine.sample, device=device, warn=hooks.warn
        )
        self._record = Record()
        self._saving = Saving(self._machine, spec, hooks)
        self._findings = Findings(spec, hooks)

    def go(self) -> Training:
        self._record = self._saving.resume()
        while True:
            self._take_steps()
            trouble = self._end()
            if trouble is None:
                return self._result()
            self._rewind(trouble)

    def _take_steps(self) -> None:
        record, spec = self._record, self._spec
        while record.step < spec.budget.max_steps:
            if self._hooks.stop() or self._machine.asked_to_stop:
                self._stop()
            if diagnostics.over_budget(record.step, self._saving.seconds(record), spec) is not None:
                return
            if record.standing.is_enough(spec.budget.early_stopping):
                return
            trouble = self._take_step()
            if trouble is None and self._saving.is_due(record.step):
                trouble = self._saving.save(record)
            if trouble is not None:
                self._rewind(trouble)

    def _take_step(self) -> Finding | None:
        record, spec = self._record, self._spec
        done = self._machine.step()
        record.step = step = record.step + 1
        outcome = done.outcome
        record.curve.add(step, outcome.loss, outcome.active, done.norm, outcome.skipped)
        last = step == spec.budget.max_steps
        if step % REPORT_EVERY == 0 or last:
            trouble = self._close(done)
            if trouble is not None:
                return trouble
        if not last:
            self._mine()
        every = spec.evaluation.every_steps
        if every is not None and step % every == 0:
            return self._evaluate()
        return None

    def _close(self, done: Step) -> Finding | None:
        record, spec = self._record, self._spec
        broken = record.curve.fetch()
        if broken is not None:
            return diagnostics.not_finite(broken, spec)
        point = record.curve.close(record.step, batch_variance(done.embeddings), done.rate)
        seconds = self._saving.seconds(record)
        self._hooks.observe(point, seconds)
        self._findings.report(record, diagnostics.will_be_over_budget(record.step, seconds, spec))
        return diagnostics.collapse_by_loss(record.curve.points, spec, since=record.segment)

    def _mine(self) -> None:
        began, record = self._hooks.clock(), self._record
        guide = self._machine.mine(record.step)
        if guide is not None:
            mined = Mined.of(guide, self._hooks.clock() - began)
            record.minings.append(mined)
            self._hooks.mined(mined)

    def _evaluate(self) -> Finding | None:
        """Measures held-out items; keeps the best encoder."""
        record, spec = self._record, self._spec
        evaluate = self._hooks.evaluate
        if evaluate is None or (record.eval_points and record.eval_points[-1].step == record.step):
            return None
        broken = record.curve.fetch()
        if broken is not None:
            return diagnostics.not_finite(broken, spec)
        point = evaluate(self._machine.network, record.step)
        self._machine.network.train()
        record.eval_points.append(point)
        self._hooks.evaluated(point)
        if point.is_sound(float(spec.collapse.min_variance)) and spec.evaluation.every_steps:
            early = spec.budget.early_stopping
            metric = early.metric if early else StoppingMetric.RECALL_AT_1
            before = record.standing
            record.standing = before.after(point, metric, float(early.min_delta) if early else 0.0)
            if record.standing.best is point:
                record.best = self._machine.weights()
        for finding in self._findings.holding(record, point):
            self._findings.report(record, finding)
        return diagnostics.collapse_seen(record.eval_points, spec, since=record.segment)

    def _end(self) -> Finding | None:
        """The last evaluation, and the best weights; a finding when there is nothing to export."""
        record, spec = self._record, self._spec
        trouble = self._evaluate()
        point = record.eval_points[-1] if record.eval_points else None
        over = diagnostics.over_budget(
            record.step, self._saving.seconds(record), spec, devices=self._hooks.devices
        )
        if over is not None:
            self._findings.keep(record, over)
        if trouble is None and point is not None:
            trouble = diagnostics.collapse_at_end(point, record.curve.final()[0], spec)
        if trouble is not None and record.standing.best is not None:
            self._findings.keep(record, trouble)
            trouble = None
        if trouble is not None:
            if over is not None:
                raise Diverged(f"{trouble.message}. {over.message}", reason_of(trouble))
            return trouble
        self._saving.save_at_end(record)
        if record.best is not None:
            self._machine.load_network(record.best)
        return None

    def _rewind(self, trouble: Finding) -> None:
        """Back to the best encoder, else to the start, and on more gently; or the end."""
        record, spec = self._record, self._spec
        if self._initial is None:
            raise Diverged(f"{trouble.message} (collapse.action is Fail)", reason_of(trouble))
        if record.rewinds >= spec.collapse.max_rewinds:
            again = f", also after {record.rewinds} rewind(s) (collapse.maxRewinds)"
            raise Diverged(trouble.message + again, reason_of(trouble))
        best = record.standing.best
        step = best.step if best else 0
        record.rewind(step)
        rate = float(spec.optimizer.learning_rate) * REWIND_SCALE**record.rewinds
        where = f"its best encoder, of step {step}" if best else "the start"
        message = f"Rewound to {where}, SemiHard, learning rate {rate:g}. Before: {trouble.message}"
        self._findings.keep(
            record,
            diagnostics.finding(
                FindingName.COLLAPSE, trouble.step, _number(trouble), trouble.bound, message
            ),
        )
        self._machine.begin(spec, step=step, rewinds=record.rewinds)
        if record.best is None:
            self._machine.load_network(self._initial)
        else:
            self._machine.load_weights(record.best)
        self._machine.network.train()

    def _stop(self) -> None:
        step, steps = self._record.step, self._spec.budget.max_steps
        self._saving.save(self._record)
        raise Stopped(f"stopped before step {step + 1} of {steps}", self._saving.kept)

    def _result(self) -> Training:
        record = self._record
        best = record.standing.best if record.best is not None else None
        exported = best or (record.eval_points[-1] if record.eval_points else None)
        loss, active = record.curve.final()
        self._machine.network.eval()
        return Training(
            curve=tuple(record.curve.points),
            eval_points=tuple(record.eval_points),
            minings=tuple(record.minings),
            findings=self._findings.of_result(record, exported),
            steps=record.step,
            exported_step=best.step if best else record.step,
            seconds=self._saving.seconds(record),
            rewinds=record.rewinds,
            resumed_from_step=self._saving.resumed,
            kept_step=self._saving.kept,
            final_loss=loss,
            active_triplets=active,
            skipped_anchors=record.curve.skipped,
        )


def _number(finding: Finding) -> float:
    return finding.value if finding.value is not None else float("nan")
