"""One status of each kind with every field set, as the operator would write it."""

from __future__ import annotations

from typing import Any

from lockstep_operator.api.drift_policy import DriftPolicyStatus
from lockstep_operator.api.index import VectorIndexStatus
from lockstep_operator.api.model import EmbeddingModelStatus
from lockstep_operator.api.release import EmbeddingReleaseStatus
from tests.unit.manifests.support import samples

AT = "2026-01-31T12:00:00Z"
CONDITION = {
    "type": "Ready",
    "status": "True",
    "reason": "Promoted",
    "message": "r2 serves",
    "observedGeneration": 3,
    "lastTransitionTime": AT,
}
GATE = {
    "name": "relevance",
    "verdict": "Pass",
    "line": "recall@1 0.991 >= 0.950 (n=2160): pass",
    "value": "0.991",
    "bound": "0.950",
    "samples": 2160,
    "observedAt": AT,
    "dryRun": True,
}
STATISTICS = {"n": 2160, "mean": 0.991, "standardDeviation": 0.09}

MODEL = EmbeddingModelStatus.model_validate(
    {
        "observedGeneration": 3,
        "phase": "Progressing",
        "message": "r3 is evaluated; r2 serves",
        "stable": {
            "release": "r2",
            "spaceID": samples.SPACE,
            "stage": "Serving",
            "since": AT,
            "readyReplicas": 2,
            "indexes": ["catalogue"],
        },
        "candidate": {"release": "r3", "stage": "Canary", "since": AT, "weight": 25},
        "step": {
            "index": 2,
            "total": 4,
            "state": "measures latency",
            "askedWeight": 25,
            "achievedWeight": 20,
            "startedAt": AT,
        },
        "stepDisplay": "2/4",
        "weightDisplay": "25% (20%)",
        "gates": [GATE],
        "gatesSummary": "1/1",
        "recall": "0.991",
        "replicas": 2,
        "selector": "lockstep.dev/model=glyphs",
        "lastHandled": [{"verb": "retry", "value": "r2", "outcome": "Retried", "at": AT}],
        "history": [
            {
                "release": "r1",
                "outcome": "Replaced",
                "reason": "by r2",
                "startedAt": AT,
                "finishedAt": AT,
                "replacedAt": AT,
            }
        ],
        "conditions": [CONDITION],
    }
)

_BUILD = {
    "release": "r2",
    "buildDigest": samples.digest("d"),
    "spaceID": samples.SPACE,
    "rows": 900,
    "bytes": 230400,
    "recall": "recall@10 0.991 >= 0.950 (n=1000)",
}

INDEX = VectorIndexStatus.model_validate(
    {
        "observedGeneration": 1,
        "phase": "Healthy",
        "message": "r2 serves",
        "serving": _BUILD,
        "candidate": _BUILD,
        "replicas": 2,
        "selector": "lockstep.dev/index=catalogue",
        "lastBuiltAt": AT,
        "conditions": [CONDITION],
    }
)

RELEASE = EmbeddingReleaseStatus.model_validate(
    {
        "observedGeneration": 1,
        "stage": "Failed",
        "stageStartedAt": AT,
        "startedAt": AT,
        "promotedAt": AT,
        "firstPromotedAt": AT,
        "finishedAt": AT,
        "outcome": "GateFailed",
        "message": "relevance failed; retry=r3 tries again",
        "attempts": {
            "training": 1,
            "evaluating": 1,
            "indexing": {"catalogue": 2},
            "failures": {"build-catalogue": 1},
            "disruptions": 1,
        },
        "nextRetryAt": AT,
        "comparedWith": "glyphs-r1",
        "gatesPassedAt": AT,
        "builtAt": AT,
        "check": {"askedAt": AT, "triedAt": AT, "checkedAt": AT, "trouble": "StoreUnavailable: 74"},
        "damaged": [
            {
                "artifact": samples.digest("d"),
                "file": "vectors.npy",
                "message": "is corrupt",
                "index": "catalogue",
            }
        ],
        "remakeAskedAt": AT,
        "pausedAt": AT,
        "pauseReason": "UserPaused",
        "pausedSeconds": 12,
        "failedStage": "Evaluating",
        "canaryOf": "glyphs-r1",
        "step": {"index": 1, "hash": "0123456789ab", "startedAt": AT, "passed": True},
        "watch": {
            "startedAt": AT,
            "replaced": "glyphs-r2",
            "verdict": "Fail",
            "told": "errors: 5xx 30%",
            "returnedAt": AT,
        },
        "weights": {"asked": 25, "achieved": 20, "since": AT},
        "approvedAt": AT,
        "ending": {
            "stage": "Canary",
            "outcome": "Failed",
            "reason": "GateFailed",
            "message": "latency failed",
            "exitCode": 0,
            "pod": "glyphs-r3-encoder-x",
        },
        "training": {**samples.training_facts(), "metrics": {"loss": 0.25}},
        "evaluation": {
            "artifactDigest": samples.digest("a"),
            "datasetDigest": samples.digest("e"),
            "items": 2160,
            "classes": 90,
            "recall": [
                {
                    "k": 1,
                    "candidate": STATISTICS,
                    "baseline": STATISTICS,
                    "gainOverBaseline": STATISTICS,
                    "stable": STATISTICS,
                    "gainOverStable": STATISTICS,
                }
            ],
            "variance": 0.5,
            "meanCosine": 0.01,
        },
        "builds": [samples.build_facts("catalogue", "d")],
        "gates": [GATE],
        "lastFailure": {
            "stage": "Evaluating",
            "reason": "GateFailed",
            "message": "0.91 < 0.95",
            "exitCode": 0,
            "pod": "glyphs-r3-evaluate-1-x",
            "time": AT,
        },
        "conditions": [CONDITION],
    }
)

DRIFT = DriftPolicyStatus.model_validate(
    {
        "observedGeneration": 1,
        "phase": "Degraded",
        "state": "WaitingForApproval",
        "message": "query drift MMD 0.052 [0.040, 0.059] > 0.030 DRIFT",
        "release": "glyphs-r2",
        "value": "0.052",
        "tolerance": "0.030",
        "since": AT,
        "rebaselined": "r2",
        "pauses": "Evidence",
        "request": {
            "id": "retrain-r2-5899536",
            "do": "Retrain",
            "when": "Evidence",
            "release": "glyphs-r2",
            "askedAt": AT,
            "approval": "Human",
            "approvedBy": "kubectl-annotate",
            "approvedAt": AT,
        },
        "actions": [
            {
                "id": "rebuild-r1-5890000",
                "do": "Rebuild",
                "at": AT,
                "approvedBy": "kubectl-annotate",
                "done": True,
                "outcome": "r2 is Serving",
                "release": "glyphs-r2",
            }
        ],
        "conditions": [CONDITION],
    }
)

SAMPLES: dict[str, dict[str, Any]] = {
    "EmbeddingModel": MODEL.to_wire(),
    "VectorIndex": INDEX.to_wire(),
    "EmbeddingRelease": RELEASE.to_wire(),
    "DriftPolicy": DRIFT.to_wire(),
}
