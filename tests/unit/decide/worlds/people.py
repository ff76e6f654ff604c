"""What people do: they apply and change specs, and annotate."""

from __future__ import annotations

from typing import Any, Self

from lockstep_operator.api.objects import Object
from tests.unit.decide.worlds.api_server import ApiServer
from tests.unit.decide.worlds.specs import MODEL, index_spec, model_spec, own_object, set_field


class People(ApiServer):
    """Users of the API server."""

    def apply_model(self, **changes: Any) -> Self:
        self.create(own_object("EmbeddingModel", MODEL, model_spec(**changes)))
        return self

    def apply_index(self, name: str = MODEL, **changes: Any) -> Self:
        self.create(own_object("VectorIndex", name, index_spec(**changes)))
        return self

    def change_model(self, path: str, value: Any, *, tell: bool = True) -> Self:
        self.edit(
            "EmbeddingModel", MODEL, lambda raw: set_field(raw["spec"], path, value), tell=tell
        )
        return self

    def change_index(self, path: str, value: Any, name: str = MODEL) -> Self:
        self.edit("VectorIndex", name, lambda raw: set_field(raw["spec"], path, value))
        return self

    def annotate(self, verb: str, value: str | None, *, tell: bool = True) -> Self:
        def change(raw: Object) -> None:
            annotations = raw["metadata"].setdefault("annotations", {})
            annotations.pop(f"lockstep.dev/{verb}", None)
            if value is not None:
                annotations[f"lockstep.dev/{verb}"] = value

        self.edit("EmbeddingModel", MODEL, change, tell=tell)
        return self
