"""Specs that are well formed and could never come to anything: a rule of the schema refuses each.

`FINE_ALL_THE_SAME` are their neighbours, which the same rules let pass.
"""

from __future__ import annotations

from typing import Any

from tests.cluster.support.bad_gates import (
    DRIFT,
    ERRORS,
    GEOMETRY,
    GOOD_CHANGES,
    LATENCY,
    LIVE_RECALL,
    PROMETHEUS,
    RECALL,
)
from tests.cluster.support.bad_specs import BadSpec
from tests.cluster.support.specs import GOOD_INDEX, GOOD_MODEL

Spec = dict[str, Any]
_RESOURCES = "spec.training.template.resources"
_IMAGE = "spec.training.template.image"
_COLUMNS = "spec.training.data.columns"
_APPROVED = "spec.rollout.approvedRelease"
DIGEST = "sha256:" + "0" * 64


def _gate(gate: Spec, **fields: Any) -> Spec:
    return {"spec.rollout.gates": [gate | fields]}


def _steps(*steps: Spec) -> Spec:
    return {**GOOD_CHANGES, "spec.rollout.steps": list(steps)}


def _weights(*weights: int) -> Spec:
    return _steps(*({"setWeight": weight} for weight in weights))


def _judged(*gates: str) -> Spec:
    return {"analysis": {"gates": list(gates)}}


def _route(*parents: Spec, hostnames: tuple[str, ...] = ()) -> Spec:
    gateway = {"parentRefs": list(parents or ({"name": "edge"},)), "hostnames": list(hostnames)}
    return {"spec.rollout.traffic": {"router": "GatewayAPI", "gateway": gateway}}


def _rows(prefix: str, words: tuple[str, ...], *changes: Spec, good: Spec = GOOD_MODEL) -> Any:
    return [
        BadSpec(f"never-{prefix}-{number}", good, change, words)
        for number, change in enumerate(changes, 1)
    ]


NEVER_PASS: tuple[BadSpec, ...] = (
    *_rows(
        "ratio",
        ("rollout.gates[0].maxRatio", "`maxRatio` must be above 0", "`0.001`"),
        _gate(ERRORS, maxRatio="0"),
        _gate(ERRORS, maxRatio="0.000"),
    ),
    *_rows(
        "loss",
        ("rollout.gates[0].maxLoss", "`maxLoss` must be"),
        _gate(GEOMETRY, maxLoss="0"),
        _gate(GEOMETRY, maxLoss="1"),
    ),
    *_rows(
        "distance",
        ("rollout.gates[0].maxDistance", "`maxDistance` must be above 0", "`0.030`"),
        _gate(DRIFT, maxDistance="0.000"),
    ),
    *_rows(
        "embeddings",
        ("rollout.gates[0].minSamples", "at least 100 for type `Geometry`"),
        _gate(GEOMETRY, minSamples=99),
    ),
    *_rows(
        "recall",
        ("rollout.gates[0].min", "must be below 1", "`0.999`"),
        _gate(RECALL, min="1"),
        _gate(LIVE_RECALL, min="1.000"),
        _gate(RECALL, minGainOverBaseline="1"),
    ),
    *_rows(
        "quantile",
        ("rollout.gates[0].quantile", "must be above 0"),
        _gate(LATENCY, quantile="0.00"),
    ),
    *_rows(
        "samples",
        ("rollout.gates[0].minSamples", "at most `maxSamples`, which is 1000 when unset"),
        _gate(LIVE_RECALL, minSamples=1001),
        _gate(LIVE_RECALL, minSamples=300, maxSamples=299),
    ),
    *_rows(
        "bounds",
        ("rollout.gates[0].minValue", "`minValue` must be at most `maxValue`"),
        _gate(PROMETHEUS, minValue="9", maxValue="1"),
        _gate(PROMETHEUS, minValue="10", maxValue="9.5"),
        _gate(PROMETHEUS, minValue="-1", maxValue="-1.5"),
    ),
    *_rows(
        "analysis",
        ("spec.rollout.steps", "`Latency` and `ErrorRatio`", "`setWeight` or `mirror` above 0"),
        _steps(_judged("errors"), {"setWeight": 25}),
        _steps({"setWeight": 0}, {"mirror": 0}, _judged("load", "latency"), {"setWeight": 25}),
        _steps({"pause": {}}, _judged("latency")),
    ),
    *_rows(
        "sketches",
        ("spec.rollout.steps", "`Geometry` and `Drift`", "queries that the operator sends"),
        _steps(_judged("far"), {"setWeight": 25}),
        _steps({"pause": {}}, _judged("live", "shape")),
    ),
    *_rows(
        "weights",
        ("spec.rollout.steps", "`setWeight` must not be less", "`lockstep.dev/abort`"),
        _weights(50, 25),
        _steps({"setWeight": 20}, {"pause": {}}, {"setWeight": 10}, {"setWeight": 30}),
        _weights(5, 0),
    ),
    *_rows(
        "hostname",
        ("traffic.gateway.hostnames", "must be host names", "`search.example`"),
        *(
            _route(hostnames=("search.example", bad))
            for bad in (
                "https://search.example",
                "search.example:443",
                "search.example/v1",
                "Search.example",
                "search..example",
                "-search.example",
                "search.*.example",
                "*",
                "10.0.0.1",
                "search.example.",
                "such name",
            )
        ),
    ),
    *_rows(
        "parents",
        ("traffic.gateway.parentRefs", "must name each Gateway once", "`sectionName`"),
        _route({"name": "edge"}, {"name": "edge"}),
        _route(
            {"name": "edge", "namespace": "a"}, {"name": "b"}, {"name": "edge", "namespace": "a"}
        ),
        _route({"name": "edge"}, {"name": "edge", "sectionName": "web"}),
        _route({"name": "edge", "sectionName": "web"}, {"name": "edge", "sectionName": "web"}),
    ),
    *_rows("parent-name", ("parentRefs[0].name", "of a Gateway"), _route({"name": "Edge"})),
    *_rows(
        "parent-namespace",
        ("parentRefs[0].namespace", "its namespace"),
        _route({"name": "edge", "namespace": "a.b"}),
    ),
    *_rows(
        "parent-section",
        ("parentRefs[0].sectionName", "one of its listeners"),
        _route({"name": "edge", "sectionName": "web_1"}),
    ),
    *_rows(
        "image",
        ("spec.training.template.image", "`image` must be a name that can be pulled", "one tag"),
        *(
            {_IMAGE: bad}
            for bad in (
                "team/Trainer:1",
                "trainer:1:2",
                "registry//trainer",
                "trainer:",
                "trainer:1@sha256:abc",
                "trainer@1.2",
                "https://ghcr.io/trainer:1",
                "trainer/",
                "trainer:-1",
            )
        ),
    ),
    *_rows(
        "part-of-a-device",
        (f"{_RESOURCES}.limits", "whole numbers such as `1`"),
        {f"{_RESOURCES}.limits": {"nvidia.com/gpu": "0.5"}},
        {f"{_RESOURCES}.limits": {"nvidia.com/gpu": "500m"}},
        {f"{_RESOURCES}.limits": {"cpu": "0.5", "nvidia.com/gpu": "1.5"}},
    ),
    *_rows(
        "resource",
        (f"{_RESOURCES}.limits", "such as `nvidia.com/gpu`"),
        {f"{_RESOURCES}.limits": {"gpu": "1"}},
        {f"{_RESOURCES}.limits": {"CPU": "1"}},
        {f"{_RESOURCES}.limits": {"a/b/c": "1"}},
    ),
    *_rows(
        "limits-of-numbers",
        (f"{_RESOURCES}.requests", "must not exceed `limits`"),
        {f"{_RESOURCES}": {"requests": {"cpu": 2}, "limits": {"cpu": 1}}},
        {f"{_RESOURCES}": {"requests": {"cpu": 2}, "limits": {"cpu": "1500m"}}},
        {f"{_RESOURCES}": {"requests": {"memory": "2e9"}, "limits": {"memory": "1Gi"}}},
    ),
    *_rows(
        "columns",
        ("spec.training.data.columns", "`input`, `label`, `id` and `group`", "another column"),
        {_COLUMNS: {"input": "text", "label": "text"}},
        {_COLUMNS: {"label": "shop", "group": "shop"}},
        {_COLUMNS: {"id": "labels"}},
        {_COLUMNS: {"label": "inputs"}},
    ),
    *_rows(
        "columns-of-a-corpus",
        ("spec.source.columns", "another column"),
        {
            "spec.source": {
                "uri": "file:///artifacts/a.jsonl",
                "format": "JSONLines",
                "columns": {"label": "id"},
            }
        },
        good=GOOD_INDEX,
    ),
    *_rows(
        "index-recall",
        ("spec.objectives.recall.min", "must be below 1", "`Flat`"),
        {"spec.objectives.recall.min": "1"},
        good=GOOD_INDEX,
    ),
    *_rows(
        "approved",
        (_APPROVED, "a release of this model", "`r13`"),
        {_APPROVED: "other-r3"},
        {_APPROVED: "glyphs-a-r3"},
        {_APPROVED: "glyph-r3"},
    ),
)

FINE_ALL_THE_SAME: dict[str, tuple[Spec, Spec]] = {
    "ratio": (GOOD_MODEL, _gate(ERRORS, maxRatio="0.000001")),
    "regression-of-none": (GOOD_MODEL, _gate(RECALL, maxRegression="0")),
    "one-value": (GOOD_MODEL, _gate(PROMETHEUS, minValue="1.50", maxValue="1.5")),
    "all-queries": (GOOD_MODEL, _gate(LIVE_RECALL, minSamples=1000)),
    "more-queries": (GOOD_MODEL, _gate(LIVE_RECALL, minSamples=4000, maxSamples=4000)),
    "analysis-that-asks": (GOOD_MODEL, _steps(_judged("live", "errors"), {"setWeight": 25})),
    "analysis-of-a-query": (GOOD_MODEL, _steps(_judged("load"), {"setWeight": 25})),
    "analysis-of-copies": (GOOD_MODEL, _steps({"mirror": 10}, _judged("errors"))),
    "weights": (GOOD_MODEL, _weights(0, 5, 5, 50, 100)),
    "copies-fall": (GOOD_MODEL, _steps({"mirror": 50}, {"mirror": 0}, {"setWeight": 5})),
    "hostnames": (
        GOOD_MODEL,
        _route(hostnames=("search.example", "*.search.example", "localhost", "1.search.example")),
    ),
    "listeners": (
        GOOD_MODEL,
        _route(
            {"name": "edge", "sectionName": "web"},
            {"name": "edge", "sectionName": "tls"},
            {"name": "edge", "namespace": "infra"},
            {"name": "edge.infra"},
        ),
    ),
    **{
        f"image-{number}": (GOOD_MODEL, {_IMAGE: image})
        for number, image in enumerate(
            (
                "trainer",
                "trainer:1",
                "team/trainer_a__b--c:v1.2-rc.1_x",
                "localhost/trainer:dev",
                "localhost:5000/trainer:dev",
                "Registry.example:5000/team/trainer",
                f"ghcr.io/team/trainer@{DIGEST}",
                f"ghcr.io/team/trainer:1.2@{DIGEST}",
                "10.0.0.1:5000/trainer",
                "lockstep.invalid/trainer:none",
            )
        )
    },
    "numbers": (
        GOOD_MODEL,
        {_RESOURCES: {"requests": {"cpu": 1}, "limits": {"cpu": 1, "nvidia.com/gpu": 1}}},
    ),
    "quantities": (
        GOOD_MODEL,
        {
            _RESOURCES: {
                "requests": {"cpu": "+.5", "memory": "2e9", "ephemeral-storage": "1Pi"},
                "limits": {"cpu": "1.", "memory": "2E9", "hugepages-2Mi": "4Mi", "a.b/c": "1e1"},
            }
        },
    ),
    "device-asked-twice": (
        GOOD_MODEL,
        {_RESOURCES: {"requests": {"nvidia.com/gpu": 1}, "limits": {"nvidia.com/gpu": 1}}},
    ),
    "columns": (
        GOOD_MODEL,
        {_COLUMNS: {"input": "label", "label": "input", "id": "key", "group": "shop"}},
    ),
    "exact-index": (
        GOOD_INDEX,
        {"spec.index": {"type": "Flat"}, "spec.objectives.recall.min": "1.0"},
    ),
    "approved": (GOOD_MODEL, {_APPROVED: "r13"}),
    "approved-by-name": (GOOD_MODEL, {_APPROVED: "glyphs-r13"}),
}
