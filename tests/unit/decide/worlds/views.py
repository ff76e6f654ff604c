"""What a test reads: releases and their stages, the status of the model, the entry point."""

from __future__ import annotations

from lockstep_operator.api.objects import Object
from tests.unit.decide.worlds.specs import MODEL
from tests.unit.decide.worlds.state import State


class Views(State):
    """What there is, by the names that a test uses for it."""

    def release(self, number: int) -> Object:
        return self.objects["EmbeddingRelease", f"{MODEL}-r{number}"]

    def has_release(self, number: int) -> bool:
        return ("EmbeddingRelease", f"{MODEL}-r{number}") in self.objects

    def record(self, number: int) -> Object:
        found: Object = self.release(number)["status"]
        return found

    def stage(self, number: int) -> str | None:
        if not self.has_release(number):
            return None
        stage: str | None = self.record(number).get("stage")
        return stage

    @property
    def status(self) -> Object:
        found: Object = self.objects["EmbeddingModel", MODEL]["status"]
        return found

    def condition(self, type_: str) -> Object | None:
        found = (c for c in self.status.get("conditions", []) if c["type"] == type_)
        return next(found, None)

    def says(self, type_: str) -> tuple[str, str] | None:
        found = self.condition(type_)
        return None if found is None else (found["status"], found["reason"])

    def handled(self, verb: str) -> str:
        """What became of the last annotation of this verb."""
        return str(next(h["outcome"] for h in self.status["lastHandled"] if h["verb"] == verb))

    def index_status(self, name: str = MODEL) -> Object:
        found: Object = self.objects["VectorIndex", name]["status"]
        return found

    def entry(self) -> str | None:
        """The release that holds the entry point: alone, or with a candidate beside it."""
        found = self.objects.get(("Service", MODEL))
        if found is None:
            return None
        selector = found["spec"]["selector"]
        alone = selector.get("lockstep.dev/release")
        labels = (key for key in selector if key.startswith("entry.lockstep.dev/"))
        return str(alone or next(labels).partition("/")[2])

    def behind_entry(self) -> set[str]:
        """Every release whose encoder pods the entry point's selector really matches."""
        found = self.objects.get(("Service", MODEL))
        if found is None:
            return set()
        wanted = found["spec"]["selector"].items()
        return {
            str(raw["metadata"]["labels"]["lockstep.dev/release"])
            for (kind, _), raw in self.objects.items()
            if kind == "Deployment"
            and wanted <= raw["spec"]["template"]["metadata"]["labels"].items()
        }

    def replicas(self, number: int) -> int:
        """Encoder pods that a release is asked to have."""
        raw = self.objects["Deployment", f"{MODEL}-r{number}-encoder"]
        return int(raw["spec"]["replicas"])

    def reasons(self) -> list[str]:
        return [str(event.reason) for event in self.events]
