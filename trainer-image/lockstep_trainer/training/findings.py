"""Which findings of a run hold, which were reported, and which stay whatever comes after."""

from __future__ import annotations

from lockstep_core.protocol.result import Finding, FindingName
from lockstep_core.protocol.training import TrainingSpec
from lockstep_trainer.training import diagnostics
from lockstep_trainer.training.eval_points import EvalPoint, eval_points_since
from lockstep_trainer.training.hooks import Hooks
from lockstep_trainer.training.record import Record


class Findings:
    """Reports to `hooks.found`; what was reported and what stays is in the run's record."""

    def __init__(self, spec: TrainingSpec, hooks: Hooks) -> None:
        self._spec, self._hooks = spec, hooks

    def holding(self, record: Record, point: EvalPoint) -> list[Finding]:
        """What holds at `point`, and may hold no longer later."""
        spec, untrained, slow = self._spec, self._hooks.untrained, None
        if untrained is not None:
            slow = diagnostics.slow_convergence(
                record.curve.points,
                eval_points_since(record.eval_points, record.segment),
                spec,
                untrained=untrained,
                since=record.segment,
            )
        judged = (
            slow,
            diagnostics.overfitting(point, spec),
            diagnostics.noisy_negatives(point, spec),
        )
        return [finding for finding in judged if finding is not None]

    def report(self, record: Record, finding: Finding | None) -> None:
        """Each kind of finding is reported once on the way."""
        if finding is not None and finding.name not in record.reported:
            record.reported.add(finding.name)
            self._hooks.found(finding)

    def keep(self, record: Record, finding: Finding) -> None:
        """Something that happened, whatever comes after it."""
        record.kept[finding.name] = finding
        record.reported.add(finding.name)
        self._hooks.found(finding)

    def of_result(self, record: Record, exported: EvalPoint | None) -> tuple[Finding, ...]:
        """What holds of the encoder that is exported, and what was kept; one of each kind."""
        holding = self.holding(record, exported) if exported else []
        findings = {finding.name: finding for finding in holding} | record.kept
        return tuple(findings[name] for name in FindingName if name in findings)
