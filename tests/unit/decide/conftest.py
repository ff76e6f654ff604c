"""In every test of `decide`, a release takes only ways that the page of the machine tells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lockstep_operator.api.release import Stage
from lockstep_operator.decide.context.context import ReconcileContext
from tests.unit.decide import edges


@pytest.fixture(autouse=True, scope="session")
def _only_told_ways() -> Iterator[None]:
    told = {edge for rows in edges.told().values() for edge in rows}
    enter = ReconcileContext.enter

    def checked(self: ReconcileContext, name: str, stage: Stage, **record: Any) -> None:
        before = self.release(name).status.stage
        assert (before, stage) in told, f"{before} -> {stage} is not on the page"
        enter(self, name, stage, **record)

    ReconcileContext.enter = checked  # type: ignore[method-assign]
    yield
    ReconcileContext.enter = enter  # type: ignore[method-assign]
