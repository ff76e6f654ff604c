"""Gates: typed checks with bounds.

A new gate on an existing reading is a type here with its row in `GATES` (and the fields that `Gate`
lacks), and a `judge` in the module of `decide.gates` that has the type's name. What hangs on the
type of a gate is asked of its row, and the rules of the schema are made from the rows.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import ConfigDict, Field

from lockstep_core.protocol.base import Contract, KindName, UnitFraction, validations
from lockstep_core.protocol.monitoring import TrafficRole
from lockstep_core.quality.verdicts import Verdict as Verdict
from lockstep_operator.api.gate_fields import (
    REPLAYED_QUERIES,
    Confidence,
    Decimal,
    PrometheusQuery,
    Quantile,
)
from lockstep_operator.api.gate_fields import GateName as GateName
from lockstep_operator.api.gate_fields import OnInconclusive as OnInconclusive
from lockstep_operator.api.gate_rows import (
    EVALUATION,
    OF_DISTANCE,
    OF_LOSS,
    QUERY,
    REPLAY,
    SCRAPE,
    SCRAPE_BESIDE,
    SKETCHES,
    WITHIN_SENT,
    GatePhase,
    GateRow,
    ValueRule,
    above_zero,
    below_one,
    field_rules,
    required_rules,
    value_rules,
)


class GateType(StrEnum):
    """What a gate measures."""

    RECALL = "Recall"
    LIVE_RECALL = "LiveRecall"
    LATENCY = "Latency"
    ERROR_RATIO = "ErrorRatio"
    GEOMETRY = "Geometry"
    DRIFT = "Drift"
    PROMETHEUS = "Prometheus"


GATES: dict[GateType, GateRow] = {
    GateType.RECALL: GateRow(
        EVALUATION,
        fields=("k", "min", "minGainOverBaseline", "maxRegression"),
        required=(("min", "minGainOverBaseline", "maxRegression"),),
        message="`min`, `minGainOverBaseline` or `maxRegression` must be set: a gate without a"
        " bound checks nothing",
        at="min",
        needs_recall=True,
        values=(below_one("min"), below_one("minGainOverBaseline")),
    ),
    GateType.LIVE_RECALL: GateRow(
        REPLAY,
        fields=("k", "min", "index", "maxSamples"),
        required=(("min",),),
        message="`min` must be set: a gate without a bound checks nothing",
        at="min",
        values=(
            below_one("min"),
            WITHIN_SENT,
        ),
    ),
    GateType.LATENCY: GateRow(
        SCRAPE,
        fields=("quantile", "maxMilliseconds"),
        required=(("quantile",), ("maxMilliseconds",)),
        message="`quantile` and `maxMilliseconds` must be set for type `Latency`",
        at="maxMilliseconds",
        values=(above_zero("quantile", "at 0 every request may be slower"),),
    ),
    GateType.ERROR_RATIO: GateRow(
        SCRAPE_BESIDE,
        fields=("maxRatio",),
        required=(("maxRatio",),),
        message="`maxRatio` must be set for type `ErrorRatio`",
        at="maxRatio",
        values=(
            above_zero(
                "maxRatio",
                "no number of requests shows that none can fail; ask for `0.001`, say, which needs"
                " about 4,400 requests",
            ),
        ),
    ),
    GateType.GEOMETRY: GateRow(
        SKETCHES,
        fields=("maxLoss", "role"),
        required=(("maxLoss",),),
        message="`maxLoss` must be set for type `Geometry`",
        at="maxLoss",
        values=OF_LOSS,
    ),
    GateType.DRIFT: GateRow(
        SKETCHES,
        fields=("maxDistance", "role"),
        required=(("maxDistance",),),
        message="`maxDistance` must be set for type `Drift`",
        at="maxDistance",
        needs_stable=True,
        values=OF_DISTANCE,
    ),
    GateType.PROMETHEUS: GateRow(
        QUERY,
        fields=("prometheus", "minValue", "maxValue"),
        required=(("prometheus",), ("minValue", "maxValue")),
        message="`prometheus`, and `minValue` or `maxValue`, must be set for type `Prometheus`",
        at="prometheus",
        values=(
            ValueRule(
                "!has(self.minValue) || !has(self.maxValue)"
                " || double(self.minValue) <= double(self.maxValue)",
                "`minValue` must be at most `maxValue`: no answer is within both",
                "minValue",
            ),
        ),
    ),
}
# Judged before anything serves; all others are judged in an analysis.
OFFLINE = tuple(kind for kind, row in GATES.items() if row.phase is GatePhase.OFFLINE)
NEED_RECALL = tuple(kind for kind, row in GATES.items() if row.needs_recall)
# Judged by the requests that a candidate answered; and what sends it requests by itself.
COUNT_REQUESTS = tuple(
    kind for kind, row in GATES.items() if row.reading in (SCRAPE, SCRAPE_BESIDE)
)
SEND_REQUESTS = tuple(kind for kind, row in GATES.items() if row.reading is REPLAY)
# Judged by what monitors saw of requests; and those that need stable beside them.
NEED_MONITOR = tuple(kind for kind, row in GATES.items() if row.reading is SKETCHES)
NEED_STABLE = tuple(kind for kind, row in GATES.items() if row.needs_stable)
NEED_HELD_OUT = tuple(kind for kind, row in GATES.items() if row.reading.held_out)


class Gate(Contract):
    """One check that a candidate must pass. No data is Inconclusive: never Pass, never Fail."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            *required_rules(GATES),
            *field_rules(GATES),
            *value_rules(GATES),
        )
    )

    name: GateName = Field(description="Name of the gate, shown in the status.")
    type: GateType = Field(
        description="`Recall`: relevance recall@k on the held-out set, before anything serves."
        " Live, in `analysis` steps: `LiveRecall` (held-out queries through the candidate's own"
        " encoder and index), `Latency` and `ErrorRatio` (from the pods' own metrics), `Geometry`"
        " and `Drift` (what the monitors see of live embeddings), `Prometheus` (any query)."
    )
    k: int | None = Field(
        default=None, ge=1, le=1000, description="Neighbours that are looked at; 1 when unset."
    )
    min: UnitFraction | None = Field(
        default=None, description="Smallest value whose lower confidence bound passes."
    )
    min_gain_over_baseline: UnitFraction | None = Field(
        default=None,
        description="Smallest gain over searching the raw inputs (no encoder at all), paired by"
        " query, whose lower confidence bound passes.",
    )
    max_regression: UnitFraction | None = Field(
        default=None,
        description="Largest loss against the stable release, absolute and paired by query, that"
        " still counts as not worse (non-inferiority). Without a stable release there is nothing"
        " to compare with, and the other bounds decide.",
    )
    index: KindName | None = Field(
        default=None, description="The VectorIndex that is searched; unset where there is one."
    )
    quantile: Quantile | None = Field(
        default=None, description="The quantile of the latency, such as `0.95`."
    )
    max_milliseconds: int | None = Field(
        default=None, ge=1, le=600_000, description="Largest latency at that quantile."
    )
    max_ratio: UnitFraction | None = Field(
        default=None,
        description="Largest share of requests that end with a 5xx status, and of requests that are"
        " refused (4xx but 409 and 429) beyond the share that stable refuses of the same traffic.",
    )
    max_loss: UnitFraction | None = Field(
        default=None,
        description="Largest share of the spread of its embeddings (total variance, participation"
        " ratio, effective rank) that a release may lose against its held-out items, beyond what"
        " stable loses on the same traffic; and by which the mean length of its embeddings may"
        " differ so.",
    )
    max_distance: UnitFraction | None = Field(
        default=None,
        description="Largest distance (MMD, 0 to 1.41) of live embeddings from the held-out ones"
        " that what stable shows of the same traffic does not explain. `0.030` is about 5 percent"
        " of embeddings that are unlike all others.",
    )
    role: TrafficRole | None = Field(
        default=None,
        description="Which embeddings are judged: `Query`, items of searches, or `Embedding`, of"
        " `/v1/embeddings`; `Query` when unset.",
    )
    prometheus: PrometheusQuery | None = Field(default=None, description="What is asked of whom.")
    min_value: Decimal | None = Field(default=None, description="Smallest value that passes.")
    max_value: Decimal | None = Field(default=None, description="Largest value that passes.")
    confidence: Confidence | None = Field(
        default=None, description="One-sided confidence of each bound; 0.95 when unset."
    )
    min_samples: int | None = Field(
        default=None,
        ge=1,
        le=10_000_000,
        description="Queries, requests or embeddings below which the verdict is Inconclusive.",
    )
    max_samples: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description=f"Queries that are sent at most; {REPLAYED_QUERIES} when unset.",
    )
    interval_seconds: int | None = Field(
        default=None, ge=1, le=86_400, description="Time between two measurements; 10 when unset."
    )
    count: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Measurements that must pass; 1 when unset.",
    )
    failure_limit: int | None = Field(
        default=None, ge=0, le=1000, description="Failed measurements that are let pass; 0."
    )
    inconclusive_limit: int | None = Field(
        default=None,
        ge=0,
        le=1000,
        description="Inconclusive measurements before `onInconclusive` applies; 3 when unset.",
    )
    error_limit: int | None = Field(
        default=None,
        ge=0,
        le=1000,
        description="Measurements in a row that could not be made, before `onInconclusive`"
        " applies; 4 when unset.",
    )
    on_inconclusive: OnInconclusive = Field(
        default=OnInconclusive.PAUSE,
        description="What follows when the data do not decide: `Pause` waits for a person, `Fail`"
        " ends the release. There is no way to pass without data.",
    )
    dry_run: bool = Field(
        default=False, description="Measured and shown, but never in the way of a release."
    )

    # Fields of other types are absent, so defaults are applied here and not by the API server: a
    # gate that is stored shows what was asked, and nothing that its type has no use for.

    @property
    def phase(self) -> GatePhase:
        """When it is judged: in Evaluating, or in an analysis."""
        return GATES[self.type].phase

    @property
    def needs_recall(self) -> bool:
        """Whether the evaluation has to measure recall@k for it."""
        return GATES[self.type].needs_recall

    @property
    def neighbours(self) -> int:
        """The k of recall@k."""
        return self.k or 1

    @property
    def judged_role(self) -> TrafficRole:
        """The embeddings that are judged."""
        return self.role or TrafficRole.QUERY

    @property
    def one_sided(self) -> str:
        """The confidence of each bound, as it is written."""
        return self.confidence or "0.95"

    @property
    def samples_needed(self) -> int:
        """Samples below which the verdict is Inconclusive."""
        return self.min_samples or 0
