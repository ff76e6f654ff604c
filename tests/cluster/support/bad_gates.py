"""Gates, analysis steps and traffic that are wrong: each rule of the schema, broken once."""

from __future__ import annotations

from typing import Any

from tests.cluster.support.bad_specs import BadSpec
from tests.cluster.support.specs import GOOD_MODEL

RECALL = {"name": "relevance", "type": "Recall", "min": "0.9", "minSamples": 300}
LIVE_RECALL = {"name": "live", "type": "LiveRecall", "min": "0.9", "minSamples": 300}
LATENCY = {
    "name": "latency",
    "type": "Latency",
    "quantile": "0.95",
    "maxMilliseconds": 80,
    "minSamples": 300,
}
ERRORS = {"name": "errors", "type": "ErrorRatio", "maxRatio": "0.01", "minSamples": 300}
GEOMETRY = {"name": "shape", "type": "Geometry", "maxLoss": "0.05", "minSamples": 300}
DRIFT = {"name": "far", "type": "Drift", "maxDistance": "0.030", "minSamples": 300}
PROMETHEUS = {
    "name": "load",
    "type": "Prometheus",
    "prometheus": {"url": "http://prometheus:9090", "query": "up"},
    "maxValue": "-0.5",
}
GOOD_GATES = [
    RECALL | {"maxRegression": "0.01"},
    LIVE_RECALL,
    LATENCY,
    ERRORS,
    GEOMETRY,
    DRIFT,
    PROMETHEUS,
]
GOOD_CHANGES: dict[str, Any] = {
    "spec.rollout.gates": GOOD_GATES,
    "spec.rollout.steps": [
        {"setWeight": 25},
        {"analysis": {"gates": ["live", "latency", "errors", "shape", "far", "load"]}},
    ],
    "spec.rollout.afterPromotion": {"gates": ["errors", "load"]},
}


def _gate(name: str, gate: dict[str, Any], *words: str) -> BadSpec:
    return BadSpec(f"gate-{name}", GOOD_MODEL, {"spec.rollout.gates": [gate]}, words)


def _without(gate: dict[str, Any], field: str) -> dict[str, Any]:
    return {key: value for key, value in gate.items() if key != field}


def _analysis(name: str, steps: list[dict[str, Any]], *words: str) -> BadSpec:
    changes = {**GOOD_CHANGES, "spec.rollout.steps": steps}
    return BadSpec(f"analysis-{name}", GOOD_MODEL, changes, words)


_UNBOUNDED = (
    _gate("recall-unbounded", _without(RECALL, "min"), "`minGainOverBaseline`", "must be set"),
    _gate("live-unbounded", _without(LIVE_RECALL, "min"), "`min` must be set", "checks nothing"),
    _gate("latency-of-what", _without(LATENCY, "quantile"), "`quantile` and `maxMilliseconds`"),
    _gate("latency-unbounded", _without(LATENCY, "maxMilliseconds"), "`maxMilliseconds` must be"),
    _gate("errors-unbounded", _without(ERRORS, "maxRatio"), "`maxRatio` must be set"),
    _gate("shape-unbounded", _without(GEOMETRY, "maxLoss"), "`maxLoss` must be set"),
    _gate("drift-unbounded", _without(DRIFT, "maxDistance"), "`maxDistance` must be set"),
    _gate("drift-samples-none", _without(DRIFT, "minSamples"), "`minSamples` must be set"),
    _gate("query-unbounded", _without(PROMETHEUS, "maxValue"), "`minValue` or `maxValue`"),
    _gate("query-missing", _without(PROMETHEUS, "prometheus"), "`prometheus`"),
    _gate("samples-none", _without(LATENCY, "minSamples"), "`minSamples` must be set"),
    _gate("samples-of-a-query", PROMETHEUS | {"minSamples": 5}, "except for type `Prometheus`"),
)
_MISPLACED = tuple(
    _gate(f"{field}-of-{gate['type']}", gate | {field: value}, f"`{field}` is for type")
    for gate, fields in (
        (RECALL, {"index": "a", "maxSamples": 9, "count": 2, "intervalSeconds": 5}),
        (RECALL, {"failureLimit": 1, "inconclusiveLimit": 1, "errorLimit": 1}),
        (LIVE_RECALL, {"maxRegression": "0.1", "minGainOverBaseline": "0.1", "maxRatio": "0.1"}),
        (LATENCY, {"k": 3, "min": "0.9", "maxRatio": "0.1", "maxValue": "1"}),
        (ERRORS, {"quantile": "0.95", "maxMilliseconds": 8, "minValue": "1"}),
        (ERRORS, {"role": "Query", "maxLoss": "0.1", "maxDistance": "0.1"}),
        (GEOMETRY, {"maxDistance": "0.1", "maxRatio": "0.1"}),
        (DRIFT, {"maxLoss": "0.1", "maxSamples": 9}),
        (ERRORS, {"prometheus": PROMETHEUS["prometheus"]}),
        (PROMETHEUS, {"confidence": "0.9"}),
    )
    for field, value in fields.items()
)
_VALUES = (
    _gate("quantile-percent", LATENCY | {"quantile": "95"}, "quantile", "match"),
    _gate("quantile-number", LATENCY | {"quantile": 0.95}, "quantile", "string"),
    _gate("milliseconds", LATENCY | {"maxMilliseconds": 0}, "maxMilliseconds", "1"),
    _gate("ratio", ERRORS | {"maxRatio": "1.2"}, "maxRatio", "match"),
    _gate("role", DRIFT | {"role": "Document"}, "role", "Embedding"),
    _gate("distance", DRIFT | {"maxDistance": "1.2"}, "maxDistance", "match"),
    _gate("regression", RECALL | {"maxRegression": "-0.1"}, "maxRegression", "match"),
    _gate("count", ERRORS | {"count": 0}, "count", "1"),
    _gate("interval", ERRORS | {"intervalSeconds": 0}, "intervalSeconds", "1"),
    _gate("error-limit", ERRORS | {"errorLimit": -1}, "errorLimit", "0"),
    _gate("on-inconclusive", ERRORS | {"onInconclusive": "Pass"}, "onInconclusive", "Pause"),
    _gate("dry-run", ERRORS | {"dryRun": "yes"}, "dryRun", "boolean"),
    _gate(
        "url",
        PROMETHEUS | {"prometheus": {"url": "prometheus:9090", "query": "up"}},
        "prometheus.url",
        "match",
    ),
    _gate(
        "query-empty",
        PROMETHEUS | {"prometheus": {"url": "http://prometheus", "query": ""}},
        "prometheus.query",
        "1",
    ),
    _gate("bound-word", PROMETHEUS | {"maxValue": "low"}, "maxValue", "match"),
    _gate(
        "samples-beyond-those-sent",
        LIVE_RECALL | {"maxSamples": 100},
        "`minSamples` must be at most `maxSamples`",
    ),
)
_MONITORED = (
    BadSpec(
        "gate-without-monitors",
        GOOD_MODEL,
        {"spec.rollout.gates": [GEOMETRY], "spec.monitoring": {"enabled": False}},
        ("`monitoring.enabled` must be true for gates of type `Geometry` and `Drift`",),
    ),
)
_STEPS = (
    _analysis("of-nothing", [{"analysis": {"gates": []}}], "analysis.gates", "1"),
    _analysis("of-a-lost-gate", [{"analysis": {"gates": ["lost"]}}], "must name gates of `gates`"),
    _analysis("of-an-offline-gate", [{"analysis": {"gates": ["relevance"]}}], "measured live"),
    _analysis("twice", [{"analysis": {"gates": ["load", "load"]}}], "gates[1]", "Duplicate"),
    _analysis(
        "beside-a-weight",
        [{"setWeight": 5, "analysis": {"gates": ["load"]}}],
        "exactly one of",
    ),
)


def _after(name: str, gates: list[str], *words: str, **window: int) -> BadSpec:
    changes = {**GOOD_CHANGES, "spec.rollout.afterPromotion": {"gates": gates}}
    changes |= {"spec.rollout.rollbackWindow": window} if window else {}
    return BadSpec(f"after-promotion-{name}", GOOD_MODEL, changes, words)


_AFTER = (
    _after("of-nothing", [], "afterPromotion.gates", "1"),
    _after("of-a-lost-gate", ["lost"], "`afterPromotion.gates` must name gates of `gates`"),
    _after("of-an-offline-gate", ["relevance"], "measured live"),
    _after("of-drift", ["far"], "must not name gates of type `Drift`", "DriftPolicy"),
    _after("keeping-nothing", ["load"], "raise `rollbackWindow.releases`", releases=0),
    _after("keeping-no-second", ["load"], "nothing to go back to", seconds=0),
)


def _traffic(name: str, traffic: dict[str, Any], *words: str) -> BadSpec:
    return BadSpec(f"traffic-{name}", GOOD_MODEL, {"spec.rollout.traffic": traffic}, words)


_GATEWAY = {"parentRefs": [{"name": "edge"}]}
_TRAFFIC = (
    _traffic("without-a-gateway", {"router": "GatewayAPI"}, "`gateway` must be set with"),
    _traffic("gateway-alone", {"gateway": _GATEWAY}, "`gateway` must be set with"),
    _traffic("gateway-nowhere", {"router": "GatewayAPI", "gateway": {}}, "parentRefs", "Required"),
    _traffic(
        "mirroring",
        {"router": "GatewayAPI", "gateway": {**_GATEWAY, "mirroring": "Always"}},
        "gateway.mirroring",
        "Trusted",
    ),
)
BAD_GATES = (*_UNBOUNDED, *_MISPLACED, *_VALUES, *_STEPS, *_MONITORED, *_AFTER, *_TRAFFIC)
