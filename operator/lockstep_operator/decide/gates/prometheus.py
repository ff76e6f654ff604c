"""`Prometheus`: one number of any query. Its author answers for what it means."""

from __future__ import annotations

import math

from lockstep_core.quality.verdicts import Verdict
from lockstep_operator.api.gates import Gate
from lockstep_operator.api.status import GateVerdict
from lockstep_operator.decide.gates.live import unmeasured
from lockstep_operator.decide.snapshot.measurements import Answer


def judge(gate: Gate, reading: Answer) -> GateVerdict:
    """The one element of the answer against `minValue` and `maxValue`."""
    if len(reading.values) > 1:
        return unmeasured(
            gate,
            f"the query gave {len(reading.values)} elements, must give one: aggregate it, as in"
            " `sum(...)`",
        )
    value = reading.values[0] if reading.values else math.nan
    if math.isnan(value):
        what = "NaN, which is no data" if reading.values else "no data"
        line = f"the query gave {what}: check that it finds series of this release"
        return GateVerdict(name=gate.name, verdict=Verdict.INCONCLUSIVE, line=line)
    verdict = Verdict.PASS
    shown = [
        f"{sign} {bound}"
        for sign, bound in ((">=", gate.min_value), ("<=", gate.max_value))
        if bound is not None
    ]
    line = f"{value:.6g} {' and '.join(shown)} OK"
    if gate.min_value is not None and value < float(gate.min_value):
        line, verdict = f"{value:.6g} < {gate.min_value} FAIL", Verdict.FAIL
    elif gate.max_value is not None and value > float(gate.max_value):
        line, verdict = f"{value:.6g} > {gate.max_value} FAIL", Verdict.FAIL
    return GateVerdict(
        name=gate.name,
        verdict=verdict,
        line=line,
        value=f"{value:.6g}",
        bound=" ".join(shown),
    )
