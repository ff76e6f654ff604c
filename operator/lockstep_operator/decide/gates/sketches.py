"""The reading `SKETCHES`: what the monitors beside a candidate's encoders, and stable's, added up.

Only windows count that began after the analysis did and have closed: each look is over all of them,
so the first one waits for the end of the first whole window, and another for one more.
"""

from __future__ import annotations

from datetime import UTC, datetime

from lockstep_core.protocol.environment import MONITOR_PORT
from lockstep_core.protocol.monitoring import KEPT_WINDOWS, window_of
from lockstep_operator.api.gates import Gate
from lockstep_operator.api.objects import Release
from lockstep_operator.api.status import GateVerdict
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.gates.limits import as_shown, confidence_of_a_look, looks, undecided
from lockstep_operator.decide.gates.live import (
    GateCheck,
    Judge,
    Look,
    measured,
    series_so_far,
    unmeasured,
)
from lockstep_operator.decide.snapshot.measurements import (
    Monitored,
    Series,
    Sketch,
    Sketched,
    Unmeasured,
    Unwatchable,
)
from lockstep_operator.decide.snapshot.targets import ready_encoders, target_of
from lockstep_operator.decide.vocabulary import clock
from lockstep_operator.manifests import short_name

GRACE_SECONDS = 3.0
"""From the end of a window to the question: monitors close it a moment after it ended."""
NOTHING_BESIDE = "nothing serves beside it"


def sketched(check: GateCheck, judge: Judge) -> Look:
    """What was embedded in the windows so far, judged as `Sketched`.

    What cannot be watched at all is no measurement that is lost: it settles the gate at once.
    """
    own = _monitored(check.context, check.release)
    series = series_so_far(check, check.series)
    hopeless = own if isinstance(own, str) else _hopeless(series)
    if hopeless is not None or isinstance(own, str):
        return Look(_never(check.gate, f"not measured: {hopeless}"))
    due_at = _due_at(check, series)
    due_in = due_at - check.context.snapshot.now.timestamp()
    look = measured(check, _sketch(check, own), judge, due_in=max(0.0, due_in))
    if look.settled is not None or look.problem or due_in <= 0:
        return look
    end = clock.text(datetime.fromtimestamp(due_at - GRACE_SECONDS, UTC))
    return Look(None, f"waits for the window that ends at {end}")


def level(gate: Gate) -> str:
    """`95% over 4 looks:`, as lines of shares have it."""
    number, percent = looks(gate), f"{float(gate.one_sided) * 100:g}%"
    return f"{percent} over {number} looks:" if number > 1 else percent


def wrong_at_a_look(gate: Gate) -> float:
    """How often one look may err, on one side."""
    return 1 - confidence_of_a_look(gate)


def of_windows(seen: Sketched) -> str:
    """`n=12,000 in 2 windows of 300 s`."""
    plural = "window" if seen.windows == 1 else "windows"
    return f"n={seen.own.n:,} in {seen.windows} {plural} of {seen.seconds} s"


def too_few(gate: Gate, seen: Sketched) -> str | None:
    """What a release embedded too little for a verdict; None where both have enough."""
    for one in (seen.own, seen.stable):
        if one is not None and one.n < gate.samples_needed:
            return (
                f"{short_name(one.release)} has {one.n:,} of {gate.samples_needed:,} embeddings"
                " needed (`minSamples`): send it more traffic, or raise"
                " `spec.monitoring.maxPerSecond`"
            )
    return None


def _never(gate: Gate, words: str) -> GateVerdict:
    verdict = unmeasured(gate, words).replace(verdict="Inconclusive")
    return as_shown(gate, undecided(gate, verdict))


def _hopeless(series: Series) -> str | None:
    last = series[-1].reading if series else None
    return last.message if isinstance(last, Unwatchable) else None


def _sketch(check: GateCheck, own: Monitored) -> Sketch:
    context, seconds = check.context, _seconds(check.context)
    last = window_of(context.snapshot.now.timestamp() - GRACE_SECONDS, seconds) - 1
    first = max(_first(check), last - KEPT_WINDOWS + 1)
    stable = context.stable
    beside: Monitored | str = NOTHING_BESIDE
    if stable is not None and stable.name != check.release.name:
        beside = _monitored(context, stable)
    role = check.gate.judged_role
    if isinstance(beside, str):
        return Sketch(role, seconds, first, last, own, alone=beside)
    return Sketch(role, seconds, first, last, own, beside)


def _due_at(check: GateCheck, series: Series) -> float:
    """Unix seconds: when one more window has closed, and an interval has passed. What was lost is
    asked again after an interval."""
    seconds, first = _seconds(check.context), _first(check)
    if not series:
        return (first + 1) * seconds + GRACE_SECONDS
    last = series[-1]
    moment = last.at.timestamp()
    again = moment + check.interval
    if isinstance(last.reading, Unmeasured):
        return again
    open_then = max(first, window_of(moment - GRACE_SECONDS, seconds))
    return max(again, (open_then + 1) * seconds + GRACE_SECONDS)


def _first(check: GateCheck) -> int:
    """The first window that lies within the analysis as a whole."""
    began = clock.parse(check.started_at).timestamp()
    return window_of(began, _seconds(check.context)) + 1


def _seconds(context: ReconcileContext) -> int:
    return context.model.spec.monitoring.window_seconds


def _monitored(context: ReconcileContext, release: Release) -> Monitored | str:
    """The monitors of a release, or why it has none."""
    short, training = short_name(release.name), release.status.training
    if not context.model.spec.monitoring.enabled:
        return f"`spec.monitoring.enabled` of EmbeddingModel {context.model.name} is false: set it"
    if release.spec.images.monitor is None or training is None:
        return (
            f"{short} was made without the monitor's image, so its pods have no monitor: the next"
            " release has one, where the operator has `--monitor-image`"
        )
    pods = ready_encoders(context.snapshot, release.name)
    targets = tuple(target_of(pod, MONITOR_PORT) for pod in pods)
    return Monitored(release.name, training.space_id, targets)
