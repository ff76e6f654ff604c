"""A toy gate on an existing reading: the share of requests that were refused as too many."""

from tests.unit.additions.edits import Addition, NewFile, before

GATES = "operator/lockstep_operator/api/gates.py"

ADDITION = Addition(
    what="a gate on an existing reading",
    changes=(
        before(GATES, '    PROMETHEUS = "Prometheus"', '    REFUSAL_RATIO = "RefusalRatio"'),
        before(
            GATES,
            "    GateType.PROMETHEUS: GateRow(",
            """
    GateType.REFUSAL_RATIO: GateRow(
        SCRAPE,
        fields=("maxRatio",),
        required=(("maxRatio",),),
        message="`maxRatio` must be set for type `RefusalRatio`",
        at="maxRatio",
    ),
""",
        ),
        NewFile(
            "operator/lockstep_operator/decide/gates/refusal_ratio.py",
            '''
"""`RefusalRatio`: the share of requests that were refused with 429."""

from __future__ import annotations

from lockstep_core.protocol.metrics import ENCODER_REQUESTS
from lockstep_operator.api.gates import Gate
from lockstep_operator.api.status import GateVerdict
from lockstep_operator.decide.gates.shares import judge_share, sides
from lockstep_operator.decide.snapshot.measurements import Tally


def judge(gate: Gate, tally: Tally) -> GateVerdict:
    """The share of 429 in all requests against `maxRatio`."""
    assert gate.max_ratio
    codes = tally.by(ENCODER_REQUESTS, "code")
    n = sum(codes.values())
    judgement = judge_share(gate, codes.get("429", 0), n, float(gate.max_ratio))
    line = f"refused {codes.get('429', 0)} of {n} ({sides(gate, judgement)})"
    return GateVerdict(name=gate.name, verdict=judgement.verdict, line=line, samples=n)
''',
            named="operator/lockstep_operator/decide/gates/<type>.py",
        ),
    ),
)
