"""A toy live metric: batches as large as they may be. Its gate is a gate like any other."""

from tests.unit.additions.edits import Addition, NewFile, after, before

METRICS = "core/lockstep_core/protocol/metrics.py"
GATES = "operator/lockstep_operator/api/gates.py"

ADDITION = Addition(
    what="a live metric",
    changes=(
        before(
            METRICS,
            "ENCODER = (",
            """
ENCODER_FULL_BATCHES = Metric(
    "lockstep_encoder_full_batches_total",
    MetricKind.COUNTER,
    "Batches as large as they may be.",
)
""",
        ),
        after(METRICS, "    ENCODER_BATCH_ITEMS,", "    ENCODER_FULL_BATCHES,"),
        after(
            "encoder-image/lockstep_encoder/metrics.py",
            "        self.queue_depth = gauge(names.ENCODER_QUEUE_DEPTH, registry)",
            "        self.full_batches = counter(names.ENCODER_FULL_BATCHES, registry)",
        ),
        after(
            "encoder-image/lockstep_encoder/batching.py",
            "        self._metrics.batch_items.observe(len(joined))",
            """
        if len(joined) >= self._max_items:
            self._metrics.full_batches.inc()
""",
            named="encoder-image/lockstep_encoder/<where it happens>.py",
        ),
    ),
    beside=(
        before(GATES, '    PROMETHEUS = "Prometheus"', '    FULL_BATCHES = "FullBatches"'),
        before(
            GATES,
            "    GateType.PROMETHEUS: GateRow(",
            """
    GateType.FULL_BATCHES: GateRow(
        SCRAPE,
        fields=("maxRatio",),
        required=(("maxRatio",),),
        message="`maxRatio` must be set for type `FullBatches`",
        at="maxRatio",
    ),
""",
        ),
        NewFile(
            "operator/lockstep_operator/decide/gates/full_batches.py",
            '''
"""`FullBatches`: the share of batches that were full, as more requests came than fit."""

from __future__ import annotations

from lockstep_core.protocol.metrics import ENCODER_BATCH_ITEMS, ENCODER_FULL_BATCHES
from lockstep_operator.api.gates import Gate
from lockstep_operator.api.status import GateVerdict
from lockstep_operator.decide.gates.shares import judge_share, sides
from lockstep_operator.decide.snapshot.measurements import Tally


def judge(gate: Gate, tally: Tally) -> GateVerdict:
    """The share of full batches in all of them against `maxRatio`."""
    assert gate.max_ratio
    full, n = tally.total(ENCODER_FULL_BATCHES), tally.total(ENCODER_BATCH_ITEMS)
    judgement = judge_share(gate, full, n, float(gate.max_ratio))
    line = f"full {full} of {n} ({sides(gate, judgement)})"
    return GateVerdict(name=gate.name, verdict=judgement.verdict, line=line, samples=n)
''',
            named="operator/lockstep_operator/decide/gates/<type>.py",
        ),
    ),
)
