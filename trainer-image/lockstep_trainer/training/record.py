"""What a run knows of itself besides its weights, and its form in a checkpoint."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from lockstep_core.protocol.result import Finding, FindingName
from lockstep_trainer.offline import Guide
from lockstep_trainer.training.checkpoints import below
from lockstep_trainer.training.curve import Curve
from lockstep_trainer.training.eval_points import EvalPoint, Standing

BEST = "best"


@dataclass(frozen=True)
class Mined:
    """One offline mining: of how many items negatives were found, and in how many seconds."""

    step: int
    model_digest: str
    anchors: int
    negatives: int
    seconds: float

    @classmethod
    def of(cls, guide: Guide, seconds: float) -> Mined:
        negatives = int((guide.negatives >= 0).sum())
        return cls(guide.step, guide.model_digest, guide.anchors, negatives, round(seconds, 3))

    def to_wire(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "modelDigest": self.model_digest,
            "anchors": self.anchors,
            "negatives": self.negatives,
            "seconds": self.seconds,
        }


@dataclass
class Record:
    """`segment` is the step that the run began with, or was rewound to; `reported` are findings
    that were shown, `kept` those that stay whatever comes after. `best` are the weights of the
    best evaluation. `seconds` were spent up to the last checkpoint."""

    step: int = 0
    segment: int = 0
    rewinds: int = 0
    seconds: float = 0.0
    curve: Curve = field(default_factory=Curve)
    eval_points: list[EvalPoint] = field(default_factory=list)
    standing: Standing = field(default_factory=Standing)
    best: dict[str, Tensor] | None = None
    reported: set[FindingName] = field(default_factory=set)
    kept: dict[FindingName, Finding] = field(default_factory=dict)
    minings: list[Mined] = field(default_factory=list)

    def rewind(self, step: int) -> None:
        """Forgets what came after `step`."""
        self.step = self.segment = step
        self.rewinds += 1
        self.curve.cut(step)
        self.eval_points = [point for point in self.eval_points if point.step <= step]
        self.minings = [mined for mined in self.minings if mined.step <= step]

    def tensors(self) -> dict[str, Tensor]:
        return {f"{BEST}/{name}": value for name, value in (self.best or {}).items()}

    def state(self, optimiser: dict[str, Any]) -> dict[str, Any]:
        """JSON-ready; `optimiser` is what `Machine.pack` gave."""
        return {
            "segment": self.segment,
            "rewinds": self.rewinds,
            "seconds": self.seconds,
            "curve": self.curve.state(),
            "looks": [asdict(point) for point in self.eval_points],
            "standing": self.standing.to_state(),
            "told": sorted(self.reported),
            "kept": [finding.to_wire() for finding in self.kept.values()],
            "minings": [asdict(mined) for mined in self.minings],
            "optimiser": optimiser,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], tensors: dict[str, Tensor]) -> Record:
        best = below(tensors, BEST)
        kept = [Finding.model_validate(finding) for finding in state["kept"]]
        record = cls(
            step=int(state["step"]),
            segment=int(state["segment"]),
            rewinds=int(state["rewinds"]),
            seconds=float(state["seconds"]),
            eval_points=[EvalPoint(**point) for point in state["looks"]],
            standing=Standing.from_state(state["standing"]),
            best=best or None,
            reported={FindingName(name) for name in state["told"]},
            kept={finding.name: finding for finding in kept},
            minings=[Mined(**mined) for mined in state.get("minings", ())],
        )
        record.curve.restore(state["curve"])
        return record
