"""Kinds that the cluster may lack, or whose list may be refused."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from lockstep_operator.api.kinds import HTTP_ROUTE, ResourceKind
from lockstep_operator.runtime.cache import Cache
from lockstep_operator.runtime.client import Api
from lockstep_operator.runtime.errors import ApiError, NotFound, Refused
from lockstep_operator.runtime.optional import OptionalKinds
from lockstep_operator.runtime.queue import Key, WorkQueue

pytestmark = pytest.mark.unit

ROUTE = {
    "metadata": {
        "namespace": "ns",
        "name": "glyphs",
        "uid": "u1",
        "resourceVersion": "5",
        "labels": {"lockstep.dev/model": "glyphs"},
    }
}


class Lists:
    """The API server's answers to lists: a page, or the error that is set."""

    def __init__(self) -> None:
        self.error: ApiError | None = None

    async def pages(self, kind: ResourceKind, namespace: str | None) -> AsyncIterator[Any]:
        if self.error is not None:
            raise self.error
        yield {"metadata": {"resourceVersion": "7"}, "items": [ROUTE]}


def looked(lists: Lists, cache: Cache) -> Any:
    """Looks once, as at a start."""
    kinds = OptionalKinds(cast(Api, lists), cache, WorkQueue(), namespaces=(), rng=random.Random(0))
    asyncio.run(kinds.load())
    return cache.get(HTTP_ROUTE, "ns", "glyphs")


def test_a_right_that_is_lost_deletes_nothing() -> None:
    lists, cache = Lists(), Cache()
    assert looked(lists, cache) and cache.serves(HTTP_ROUTE, "ns")
    lists.error = Refused(403, "Forbidden", "cannot list httproutes")
    assert looked(lists, cache), "the route is there, though it is not seen any more"
    assert cache.serves(HTTP_ROUTE, "ns")


def test_a_kind_that_is_removed_takes_its_objects_along() -> None:
    lists, cache = Lists(), Cache()
    assert looked(lists, cache)
    lists.error = NotFound(404, "NotFound", "no such kind")
    assert looked(lists, cache) is None and not cache.serves(HTTP_ROUTE, "ns")


def test_a_kind_that_was_never_allowed_is_not_there() -> None:
    lists, cache = Lists(), Cache()
    lists.error = Refused(403, "Forbidden", "cannot list httproutes")
    assert looked(lists, cache) is None and not cache.serves(HTTP_ROUTE, "ns")
    assert cache.of_model(Key("ns", "glyphs"), HTTP_ROUTE) == ()
