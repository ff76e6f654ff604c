"""A run as it goes, passed on to the Job's reporter and to a tracker."""

from __future__ import annotations

import time

from lockstep_core.jobs import Reporter
from lockstep_core.protocol.progress import Phase
from lockstep_core.protocol.training import TrainingSpec
from lockstep_trainer.tracking import Tracker
from lockstep_trainer.training.curve import CurvePoint
from lockstep_trainer.training.eval_points import EvalPoint
from lockstep_trainer.training.hooks import Hooks
from lockstep_trainer.training.record import Mined


class ProgressReport:
    """Reports a run as it goes: loss, recall, time and cost, and what is left of them."""

    def __init__(
        self, spec: TrainingSpec, reporter: Reporter, devices: int, tracker: Tracker
    ) -> None:
        self._spec, self._reporter, self._devices = spec, reporter, devices
        self._tracker = tracker
        self._first = 0
        self._began = time.monotonic()

    def hooks(self) -> Hooks:
        """What a run calls to be reported."""
        return Hooks(
            observe=self.point,
            evaluated=self.evaluated,
            mined=self.mined,
            found=lambda finding: self._reporter.warn(f"{finding.name}: {finding.message}"),
            warn=self._reporter.warn,
            resumed=self.resumed,
            devices=self._devices,
        )

    def resumed(self, step: int) -> None:
        self._first = step
        self._began = time.monotonic()
        self._reporter.report(
            Phase.TRAINING, step, self._spec.budget.max_steps, resumedFromStep=step
        )

    def point(self, point: CurvePoint, seconds: float) -> None:
        spec, steps = self._spec, self._spec.budget.max_steps
        pace = (time.monotonic() - self._began) / max(1, point.step - self._first)
        left = pace * (steps - point.step)
        if spec.budget.max_seconds is not None:
            left = min(left, max(0.0, spec.budget.max_seconds - seconds))
        self._tracker.log(
            point.step,
            loss=point.loss,
            activeTriplets=point.active_triplets,
            variance=point.variance,
            learningRate=point.learning_rate,
        )
        self._reporter.report(
            Phase.TRAINING,
            point.step,
            steps,
            loss=point.loss,
            activeTriplets=point.active_triplets,
            variance=point.variance,
            itemsPerSecond=spec.batch.classes * spec.batch.per_class / max(1e-9, pace),
            trainingSeconds=seconds,
            remainingSeconds=left,
            gpuSeconds=seconds * self._devices,
        )

    def mined(self, mined: Mined) -> None:
        self._reporter.report(
            Phase.TRAINING,
            mined.step,
            self._spec.budget.max_steps,
            minedAnchors=mined.anchors,
            miningSeconds=mined.seconds,
        )

    def evaluated(self, point: EvalPoint) -> None:
        numbers = {
            "recallAt1": point.recall_at_1,
            "mapAtR": point.map_at_r,
            "heldOutVariance": point.variance,
        }
        if point.train_recall_at_1 is not None:
            numbers["trainRecallAt1"] = point.train_recall_at_1
        self._tracker.log(point.step, **numbers)
        self._reporter.report(Phase.TRAINING, point.step, self._spec.budget.max_steps, **numbers)
