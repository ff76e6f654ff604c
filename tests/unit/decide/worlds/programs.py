"""What the programs of Jobs report: the same facts for the same config."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_operator.api.objects import Object
from tests.unit.decide.worlds.state import State


def sha(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Programs(State):
    """Trainer, encoder and indexer, as far as their termination messages go."""

    def report(self, kind: str, config: Object, code: int = 0, **changes: Any) -> str:
        """The termination message of the program of a Job of this kind, as JSON."""
        found: Object = {"schema": "lockstep.dev/result/v1", "program": kind.title()}
        if code:
            words = ExitCode(code).name.title().replace("_", "")
            found |= {"exitCode": code, "reason": words, "message": f"ended with {words}"}
        else:
            found |= {"exitCode": 0, "reason": "Done", **self._facts(kind, config)}
        return json.dumps(found | changes)

    def _facts(self, kind: str, config: Object) -> Object:
        facts = {
            "train": self.trained,
            "import": self.imported,
            "evaluate": self.evaluated,
            "build": self.built,
            "check": self.checked,
        }
        found: Object = facts[kind](config)
        for made in (found.get("training", {}), found.get("build", {})):
            self.rotten -= {made.get("artifactDigest"), made.get("buildDigest")}
        return found

    def trained(self, config: Object) -> Object:
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

    def imported(self, config: Object) -> Object:
        digest = config["artifact"]["digest"].removeprefix("sha256:")
        facts: Object = self.trained({"training": None})["training"]
        whose = {"artifactDigest": f"sha256:{digest}", "spaceID": digest[:12]}
        return {"training": facts | whose | {"steps": 0, "trainItems": 0}}

    def checked(self, config: Object) -> Object:
        """What the store lacks of what it is asked for (`rotten`)."""
        asked = [config["artifactDigest"], *config.get("builds", [])]
        lost = [digest for digest in dict.fromkeys(asked) if digest in self.rotten]
        told = {"file": "vectors.npy", "message": "vectors.npy is corrupt"}
        damaged = [{"artifact": digest, **told} for digest in lost]
        facts = {"artifacts": len(asked), "bytes": 1000, "damaged": damaged, "seconds": 1.0}
        return {"check": facts}

    def evaluated(self, config: Object) -> Object:
        mean, gain = self.recall, self.recall - 0.854
        spread = (mean * (1 - mean)) ** 0.5
        recall = [
            {
                "k": k,
                "candidate": {"n": self.samples, "mean": mean, "standardDeviation": spread},
                "baseline": {"n": self.samples, "mean": 0.854, "standardDeviation": 0.35},
                "gainOverBaseline": {"n": self.samples, "mean": gain, "standardDeviation": 0.3},
            }
            for k in config["recallAt"]
        ]
        return {
            "evaluation": {
                "artifactDigest": config["artifactDigest"],
                "datasetDigest": f"sha256:{sha('data')}",
                "items": self.samples,
                "classes": 270,
                "recall": recall,
                "variance": 0.9,
                "meanCosine": 0.02,
            }
        }

    def built(self, config: Object) -> Object:
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
        return {"build": build | self.build_changes}
