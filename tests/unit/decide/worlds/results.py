"""What the programs of Jobs report: the same facts for the same config."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_operator.api.objects import Object
from tests.unit.decide.worlds.state import State


def report(state: State, kind: str, config: Object, code: int = 0, **changes: Any) -> str:
    """The termination message of the program of a Job of this kind, as JSON."""
    found: Object = {"schema": "lockstep.dev/result/v1", "program": kind.title()}
    if code:
        words = ExitCode(code).name.title().replace("_", "")
        found |= {"exitCode": code, "reason": words, "message": f"ended with {words}"}
    else:
        found |= {"exitCode": 0, "reason": "Done", **_facts(state, kind, config)}
    return json.dumps(found | changes)


def _facts(state: State, kind: str, config: Object) -> Object:
    match kind:
        case "train":
            return trained(config)
        case "import":
            return imported(config)
        case "evaluate":
            return _evaluated(state, config)
        case "build":
            return _built(state, config)
    raise ValueError(f"give the message of a Job of kind {kind}")


def sha(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def trained(config: Object) -> Object:
    digest = sha(config["training"])
    return {
        "training": {
            "artifactDigest": f"sha256:{digest}",
            "modelDigest": f"sha256:{sha('model', digest)}",
            "preprocessingDigest": f"sha256:{sha('preprocessing')}",
            "pooling": "None",
            "normalisation": "L2",
            "dimension": 64,
            "spaceID": digest[:12],
            "steps": 400,
            "trainItems": 9000,
            "seconds": 13.0,
        }
    }


def imported(config: Object) -> Object:
    digest = config["artifact"]["digest"].removeprefix("sha256:")
    facts: Object = trained({"training": None})["training"]
    whose = {"artifactDigest": f"sha256:{digest}", "spaceID": digest[:12]}
    return {"training": facts | whose | {"steps": 0, "trainItems": 0}}


def _evaluated(state: State, config: Object) -> Object:
    mean, gain = state.recall, state.recall - 0.854
    spread = (mean * (1 - mean)) ** 0.5
    recall = [
        {
            "k": k,
            "candidate": {"n": state.samples, "mean": mean, "standardDeviation": spread},
            "baseline": {"n": state.samples, "mean": 0.854, "standardDeviation": 0.35},
            "gainOverBaseline": {"n": state.samples, "mean": gain, "standardDeviation": 0.3},
        }
        for k in config["recallAt"]
    ]
    return {
        "evaluation": {
            "artifactDigest": config["artifactDigest"],
            "datasetDigest": f"sha256:{sha('data')}",
            "items": state.samples,
            "classes": 270,
            "recall": recall,
            "variance": 0.9,
            "meanCosine": 0.02,
        }
    }


def _built(state: State, config: Object) -> Object:
    digest = sha(config["spaceID"], config["recipe"], config["source"])
    build = {
        "index": config["index"],
        "buildDigest": f"sha256:{digest}",
        "spaceID": config["spaceID"],
        "sourceDigest": f"sha256:{sha('data')}",
        "rows": 15700,
        "expectedRows": 15700,
        "dimension": 64,
        "bytes": 4_019_200,
        "recallK": 10,
        "recall": {"n": 1000, "mean": 0.998, "standardDeviation": 0.02},
        "seconds": 2.0,
    }
    return {"build": build | state.build_changes}
