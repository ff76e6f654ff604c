"""What can go wrong with a training, recognised from its numbers: pure functions.

Each finding names the number, its bound, and what to try. Where the detectors were measured:
icons with real label noise and glyphs, batch-hard collapses in nearly every run there, to a
variance of 0.0002 and a loss within 0.6 % of the margin, while recall@1 still reads 0.93.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from lockstep_core.protocol.result import Finding, FindingName
from lockstep_core.protocol.training import MiningStrategy, TrainingSpec
from lockstep_trainer.training.curve import CurvePoint, NotFinite
from lockstep_trainer.training.eval_points import EvalPoint

WINDOW_STEPS = 200
"""No run is judged by fewer steps: embeddings of a fresh network lie close together as well."""

STUCK_SHARE = 0.02
"""How near, relative to it, a hinge stays to its margin when all distances are equal."""

STUCK_ACTIVE = 0.98
STUCK_VARIANCE = 0.1
"""A batch this wide is no point. Semi-hard negatives are the nearest ones beyond the positive, so
in a large batch the hinge of a healthy run is near its margin as well."""

FLAT_SHARE = 0.01
FLAT_ACTIVE = 0.5
FLAT_GAIN = 0.01
IDLE_ACTIVE = 0.02
IDLE_RECALL = 0.95
OVERFIT_GAP = 0.15
CONTRADICTED_SHARE = 0.05

MESSAGE_LIMIT = 360


def finding(name: FindingName, step: int, value: float, bound: float, message: str) -> Finding:
    """A finding whose message is cut to what a status takes."""
    text = message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 3] + "..."
    known = round(value, 6) if math.isfinite(value) else None
    return Finding(name=name, step=step, value=known, bound=bound, message=text)


def not_finite(broken: NotFinite, spec: TrainingSpec) -> Finding:
    """A loss or a gradient that is no number: the weights are lost."""
    message = (
        f"the {broken.what} is {broken.value} at step {broken.step} of {spec.budget.max_steps}; it"
        f" must be finite. Lower optimizer.learningRate (now {spec.optimizer.learning_rate}, try a"
        f" third) or optimizer.clipNorm (now {spec.optimizer.clip_norm}), and look for extreme"
        " values in the data set"
    )
    return finding(FindingName.COLLAPSE, broken.step, math.nan, 0.0, message)


def collapse_seen(
    eval_points: Sequence[EvalPoint], spec: TrainingSpec, *, since: int
) -> Finding | None:
    """Two evaluations in a row, after the first steps, whose embeddings are one point."""
    bound = float(spec.collapse.min_variance)
    low = [
        point
        for point in eval_points[-2:]
        if point.step >= since + WINDOW_STEPS and not point.is_sound(bound)
    ]
    if len(low) < 2:
        return None
    return _collapsed(
        low[-1], spec, f"at two evaluations in a row, steps {low[0].step} and {low[1].step}"
    )


def collapse_at_end(point: EvalPoint, loss: float, spec: TrainingSpec) -> Finding | None:
    """The encoder that would be exported is one point: it must not be."""
    if point.is_sound(float(spec.collapse.min_variance)):
        return None
    stuck = spec.loss.value_at_collapse()
    is_stuck = stuck is not None and abs(loss - stuck) < 0.15 * stuck
    more = f"; the loss {loss:.4f} is stuck at {stuck:.4g}" if is_stuck else ""
    return _collapsed(point, spec, f"at the end, step {point.step}{more}")


def collapse_by_loss(
    curve: Sequence[CurvePoint], spec: TrainingSpec, *, since: int
) -> Finding | None:
    """The fingerprint: for `WINDOW_STEPS` steps the loss is what equal distances give, every term
    is active, and no batch is wide."""
    stuck = spec.loss.value_at_collapse()
    window = _window(curve, since)
    if stuck is None or not window:
        return None
    if not all(
        abs(point.loss - stuck) <= STUCK_SHARE * stuck
        and point.active_triplets > STUCK_ACTIVE
        and point.variance < STUCK_VARIANCE
        for point in window
    ):
        return None
    last = window[-1]
    message = (
        f"the embeddings collapse: for {WINDOW_STEPS} steps up to {last.step} the loss"
        f" {last.loss:.4f} is within 2 % of {stuck:g}, which equal distances give, with"
        f" {last.active_triplets:.0%} of the terms active (variance {last.variance:.4f})."
        f" {_gentler(spec)}"
    )
    return finding(FindingName.COLLAPSE, last.step, last.loss, stuck, message)


def slow_convergence(
    curve: Sequence[CurvePoint],
    eval_points: Sequence[EvalPoint],
    spec: TrainingSpec,
    *,
    untrained: float,
    since: int,
) -> Finding | None:
    """The loss is flat and recall has not moved from `untrained`; or nothing is left to learn
    from, though recall is not there yet."""
    window = _window(curve, since)
    if not window or not eval_points:
        return None
    half = len(window) // 2
    before, now = _loss(window[:half]), _loss(window[half:])
    active = sum(point.active_triplets for point in window) / len(window)
    recall, step = max(point.recall_at_1 for point in eval_points), window[-1].step
    if active < IDLE_ACTIVE and recall < IDLE_RECALL:
        message = (
            f"only {active:.1%} of the terms taught anything in the {WINDOW_STEPS} steps up to"
            f" {step} (bound {IDLE_ACTIVE:.0%}), while recall@1 is {recall:.3f}: batches are too"
            f" easy. Raise batch.classes (now {spec.batch.classes}) or loss.margin, or use a"
            " harder mining.strategy"
        )
        return finding(FindingName.SLOW_CONVERGENCE, step, active, IDLE_ACTIVE, message)
    fell = (before - now) / max(abs(before), 1e-12)
    if fell >= FLAT_SHARE or active < FLAT_ACTIVE or recall - untrained >= FLAT_GAIN:
        return None
    message = (
        f"the loss fell by {fell:.1%} in the last half of {WINDOW_STEPS} steps up to {step} (bound"
        f" {FLAT_SHARE:.0%}), {active:.0%} of the terms still violate it, and recall@1"
        f" {recall:.3f} is no better than {untrained:.3f} untrained. Raise optimizer.learningRate"
        f" (now {spec.optimizer.learning_rate}), or look at the labels"
    )
    return finding(FindingName.SLOW_CONVERGENCE, step, fell, FLAT_SHARE, message)


def overfitting(point: EvalPoint, spec: TrainingSpec) -> Finding | None:
    """Training items are told apart much better than items of classes that were held out."""
    if point.train_recall_at_1 is None:
        return None
    gap = point.train_recall_at_1 - point.recall_at_1
    if gap <= OVERFIT_GAP:
        return None
    stopping = "" if spec.budget.early_stopping else ", set budget.earlyStopping"
    message = (
        f"recall@1 is {point.train_recall_at_1:.3f} on training items but {point.recall_at_1:.3f}"
        f" on held-out ones at step {point.step}: a gap of {gap:.3f} (bound {OVERFIT_GAP}). Train"
        f" on more classes, lower encoder.width{stopping}, or raise optimizer.weightDecay (now"
        f" {spec.optimizer.weight_decay})"
    )
    return finding(FindingName.OVERFITTING, point.step, gap, OVERFIT_GAP, message)


def noisy_negatives(point: EvalPoint, spec: TrainingSpec) -> Finding | None:
    """Items whose nearest neighbours agree on another label: as negatives they teach the wrong."""
    share = point.contradicted
    if share is None or share <= CONTRADICTED_SHARE:
        return None
    semi_hard = spec.mining.strategy is MiningStrategy.SEMI_HARD
    mining = "" if semi_hard else f" Use mining.strategy SemiHard (now {spec.mining.strategy})."
    message = (
        f"{share:.1%} of the training items have neighbours that agree on another label (bound"
        f" {CONTRADICTED_SHARE:.0%}): their labels may be wrong, and the hardest negatives are"
        f" then false ones.{mining} Relabel or merge the classes that the report lists"
    )
    return finding(FindingName.NOISY_NEGATIVES, point.step, share, CONTRADICTED_SHARE, message)


def over_budget(
    step: int, seconds: float, spec: TrainingSpec, *, devices: int = 0
) -> Finding | None:
    """The time is up before the last step."""
    limit = spec.budget.max_seconds
    if limit is None or seconds < limit or step >= spec.budget.max_steps:
        return None
    cost = f" ({seconds * devices:.0f} GPU-seconds)" if devices else ""
    message = (
        f"stopped at budget.maxSeconds {limit} after step {step} of {spec.budget.max_steps}{cost};"
        " the best encoder so far is exported. Raise budget.maxSeconds, or lower budget.maxSteps"
        " so that the learning rate is annealed in time"
    )
    return finding(FindingName.BUDGET, step, seconds, float(limit), message)


def will_be_over_budget(step: int, seconds: float, spec: TrainingSpec) -> Finding | None:
    """At the pace so far the time is up before the last step. Judged once a tenth is done."""
    limit, steps = spec.budget.max_seconds, spec.budget.max_steps
    if limit is None or step < steps / 10:
        return None
    whole = seconds / step * steps
    if whole <= 1.05 * limit:
        return None
    message = (
        f"at this pace {steps} steps take {whole:.0f} s, more than budget.maxSeconds {limit}:"
        f" training will stop near step {int(limit / whole * steps)}. Raise budget.maxSeconds,"
        " lower budget.maxSteps, or give the Job more resources"
    )
    return finding(FindingName.BUDGET, step, whole, float(limit), message)


def _collapsed(point: EvalPoint, spec: TrainingSpec, where: str) -> Finding:
    bound = spec.collapse.min_variance
    if not math.isfinite(point.variance):
        message = (
            f"the embeddings of held-out items are not finite (variance {point.variance}, must be"
            f" at least {bound}) {where}. {_gentler(spec)}"
        )
    else:
        message = (
            f"the embeddings collapsed: variance {point.variance:.4f} of held-out items is below"
            f" {bound} {where}. {_gentler(spec)}"
        )
    return finding(FindingName.COLLAPSE, point.step, point.variance, float(bound), message)


def _gentler(spec: TrainingSpec) -> str:
    peak = f"optimizer.learningRate (now {spec.optimizer.learning_rate}, try a third)"
    if spec.mining.strategy is MiningStrategy.SEMI_HARD:
        return f"Lower {peak}, or train for more steps (now {spec.budget.max_steps})"
    return f"Use mining.strategy SemiHard (now {spec.mining.strategy}), lower {peak}"


def _window(curve: Sequence[CurvePoint], since: int) -> list[CurvePoint]:
    """The points of the last `WINDOW_STEPS` steps; none while there are fewer steps."""
    if not curve or curve[-1].step < since + WINDOW_STEPS:
        return []
    return [point for point in curve if point.step > curve[-1].step - WINDOW_STEPS]


def _loss(points: Sequence[CurvePoint]) -> float:
    return sum(point.loss for point in points) / max(1, len(points))
