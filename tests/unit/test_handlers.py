"""kopf watches the kinds whose rows say so, and no others."""

from __future__ import annotations

import asyncio
from typing import Any

import kopf
import pytest

from lockstep_operator import handlers
from lockstep_operator.api.kinds import KINDS, ResourceKind, Watch

pytestmark = pytest.mark.unit


class Seen:
    """Stands for the operator: remembers what was observed."""

    def __init__(self) -> None:
        self.kinds: list[ResourceKind] = []

    def observe(self, kind: ResourceKind, event: Any) -> None:
        self.kinds.append(kind)


def registered() -> list[Any]:
    assert handlers.startup
    return list(kopf.get_default_registry()._watching.get_all_handlers())


def test_a_handler_is_registered_for_each_kind_that_is_always_watched() -> None:
    found = [handler.selector for handler in registered()]
    addresses = [(found.group, found.version, found.any_name) for found in found]
    watched = [kind for kind in KINDS if kind.watch is Watch.ALWAYS]
    assert addresses == [(kind.group, kind.version, kind.plural) for kind in watched]


def test_each_handler_tells_its_own_kind() -> None:
    seen = Seen()
    for handler in registered():
        asyncio.run(handler.fn(event={"type": "ADDED", "object": {}}, memo=seen))
    assert seen.kinds == [kind for kind in KINDS if kind.watch is Watch.ALWAYS]
