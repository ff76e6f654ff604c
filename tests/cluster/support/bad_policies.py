"""DriftPolicies that are wrong: by the types of their fields, and by a rule of the schema."""

from __future__ import annotations

from typing import Any

from tests.cluster.support.bad_specs import BadSpec
from tests.cluster.support.specs import MISSING

GOOD_POLICY: dict[str, Any] = {
    "apiVersion": "lockstep.dev/v1alpha1",
    "kind": "DriftPolicy",
    "metadata": {"name": "glyphs"},
    "spec": {
        "targetRef": {"name": "glyphs"},
        "roles": ["Query"],
        "baseline": "Traffic",
        "tolerance": "0.030",
        "windows": [{"seconds": 300}, {"seconds": 3600}],
        "falseAlarmBudget": {"count": 1, "perSeconds": 2592000},
        "minSamples": 200,
        "actions": [
            {"when": "Evidence", "do": "Alert"},
            {"when": "Evidence", "do": "Retrain", "approval": "Human", "cooldownSeconds": 21600},
            {"when": "Invalid", "do": "Rollback", "approval": "None"},
        ],
        "limits": {"actionsPerDay": 3},
        "recall": {"k": 10, "min": "0.950", "spanSeconds": 3600, "minQueries": 300},
    },
}


def _policy(name: str, changes: dict[str, Any], *words: str) -> BadSpec:
    return BadSpec(f"policy-{name}", GOOD_POLICY, changes, words)


def _action(**action: Any) -> dict[str, Any]:
    return {"spec.actions": [action]}


# Refused by the types alone.
POLICY_TYPES = (
    _policy("spec-missing", {"spec": MISSING}, "spec", "Required"),
    _policy("target-missing", {"spec.targetRef": MISSING}, "targetRef", "Required"),
    _policy("target-nameless", {"spec.targetRef": {}}, "targetRef.name", "Required"),
    _policy("target-dotted", {"spec.targetRef.name": "a.b"}, "targetRef.name", "a-z"),
    _policy("role-unknown", {"spec.roles": ["Document"]}, "roles", "Query"),
    _policy("roles-none", {"spec.roles": []}, "roles", "at least 1"),
    _policy("roles-twice", {"spec.roles": ["Query", "Query"]}, "roles", "Duplicate"),
    _policy("baseline-unknown", {"spec.baseline": "Yesterday"}, "baseline", "HeldOut"),
    _policy("baseline-windows-few", {"spec.baselineWindows": 5}, "baselineWindows", "6"),
    _policy("baseline-windows-many", {"spec.baselineWindows": 65}, "baselineWindows", "64"),
    _policy("tolerance-number", {"spec.tolerance": 0.03}, "tolerance", "string"),
    _policy("tolerance-negative", {"spec.tolerance": "-0.03"}, "tolerance", "Auto"),
    _policy("tolerance-large", {"spec.tolerance": "2.0"}, "tolerance", "Auto"),
    _policy("windows-short", {"spec.windows": [{"seconds": 5}]}, "windows[0].seconds", "10"),
    _policy("windows-long", {"spec.windows": [{"seconds": 700_000}]}, "windows[0]", "604800"),
    _policy(
        "windows-many",
        {"spec.windows": [{"seconds": 300 * n} for n in range(1, 6)]},
        "windows",
        "at most 4",
    ),
    _policy("budget-count", {"spec.falseAlarmBudget.count": 0}, "falseAlarmBudget.count", "1"),
    _policy("budget-short", {"spec.falseAlarmBudget.perSeconds": 60}, "perSeconds", "3600"),
    _policy("samples-few", {"spec.minSamples": 1}, "minSamples", "20"),
    _policy("action-unknown", _action(when="Evidence", do="Restart"), "actions[0].do", "Retrain"),
    _policy("trigger-unknown", _action(when="PValue", do="Alert"), "actions[0].when", "Evidence"),
    _policy("trigger-missing", _action(do="Alert"), "actions[0].when", "Required"),
    _policy(
        "approval-unknown",
        _action(when="Evidence", do="Retrain", approval="Robot"),
        "approval",
        "Human",
    ),
    _policy(
        "cooldown-short",
        _action(when="Evidence", do="Retrain", cooldownSeconds=5),
        "cooldownSeconds",
        "600",
    ),
    _policy("recall-unbounded", {"spec.recall.min": MISSING}, "recall.min", "Required"),
    _policy("recall-number", {"spec.recall.min": 0.95}, "recall.min", "string"),
    _policy("recall-percent", {"spec.recall.min": "95"}, "recall.min", "0-9"),
    _policy("recall-k-none", {"spec.recall.k": 0}, "recall.k", "1"),
    _policy("recall-k-many", {"spec.recall.k": 101}, "recall.k", "100"),
    _policy("recall-span-short", {"spec.recall.spanSeconds": 60}, "spanSeconds", "600"),
    _policy("recall-span-long", {"spec.recall.spanSeconds": 100_000}, "spanSeconds", "86400"),
    _policy("recall-queries-few", {"spec.recall.minQueries": 5}, "minQueries", "30"),
    _policy("limit-none", {"spec.limits.actionsPerDay": 0}, "actionsPerDay", "1"),
    _policy("field-unknown", {"spec.unlessStableDrifts": True}, "unlessStableDrifts", "unknown"),
)
# Refused by a rule.
POLICY_RULES = (
    _policy("name-long", {"metadata.name": "a" * 31}, "`metadata.name`", "1 to 30"),
    _policy("tolerance-zero", {"spec.tolerance": "0"}, "`tolerance`", "above 0", "without end"),
    _policy("tolerance-zeros", {"spec.tolerance": "0.000"}, "`tolerance`", "above 0"),
    _policy(
        "windows-equal",
        {"spec.windows": [{"seconds": 300}, {"seconds": 300}]},
        "`windows`",
        "different",
    ),
    _policy(
        "learns-nothing",
        {
            "spec.baseline": "HeldOut",
            "spec.baselineWindows": 12,
        },
        "`baselineWindows`",
        "HeldOut",
    ),
    _policy(
        "held-out-embeddings",
        {"spec.baseline": "HeldOut", "spec.roles": ["Embedding"]},
        "`roles`",
        "[Query]",
    ),
    _policy(
        "actions-twice",
        {"spec.actions": 2 * [{"when": "Evidence", "do": "Alert"}]},
        "`actions`",
        "once",
    ),
    _policy(
        "alert-approved",
        _action(when="Evidence", do="Alert", approval="Human"),
        "`approval`",
        "ask nobody",
    ),
    _policy(
        "pause-cools-down",
        _action(when="Evidence", do="Pause", cooldownSeconds=600),
        "`cooldownSeconds`",
        "as long as the drift does",
    ),
    _policy("recall-zero", {"spec.recall.min": "0.0"}, "`min`", "above 0"),
    _policy(
        "recall-without-bound",
        {"spec.recall": MISSING, **_action(when="RecallBelow", do="Alert")},
        "`recall`",
        "has the bound",
    ),
    _policy(
        "recall-rollback",
        {"spec.baseline": "HeldOut", **_action(when="RecallBelow", do="Rollback")},
        "`do: Rollback`",
        "answer nobody",
    ),
    *(
        _policy(
            f"rollback-of-traffic-{when.lower()}",
            _action(when=when, do="Rollback"),
            "`do: Rollback`",
            "the same traffic",
        )
        for when in ("Evidence", "LowerBound", "Geometry")
    ),
)
FINE_POLICIES = {
    "all that is needed": {"spec": {"targetRef": {"name": "glyphs"}}},
    "held out": {
        "spec.baseline": "HeldOut",
        "spec.actions": [{"when": "Evidence", "do": "Rollback"}],
    },
    "both roles": {"spec.roles": ["Query", "Embedding"], "spec.baselineWindows": 64},
    "auto": {"spec.tolerance": "Auto", "spec.windows": [], "spec.actions": []},
    "no recall": {"spec.recall": MISSING},
    "recall that rebuilds": _action(when="RecallBelow", do="Rebuild"),
    "pause": _action(when="LowerBound", do="Pause"),
    "rebuild by itself": _action(when="Geometry", do="Rebuild", approval="None"),
}
