"""What drift may make in an hour: counted in the cache, and by what is being made right now."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from lockstep_operator.api.kinds import DRIFT_POLICY, EMBEDDING_RELEASE
from lockstep_operator.decide.context.plan import Plan
from lockstep_operator.runtime.cache import Cache
from lockstep_operator.runtime.drift_limit import DriftLimit
from lockstep_operator.runtime.queue import Key

pytestmark = pytest.mark.unit

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
KEY, OTHER, BARE = Key("shop", "a"), Key("shop", "b"), Key("shop", "c")


def cache_with(*releases: tuple[str, str]) -> Cache:
    cache = Cache()
    bodies: list[tuple[Any, dict[str, Any], dict[str, Any]]] = [
        (DRIFT_POLICY, {"name": name}, {"targetRef": {"name": name}}) for name in ("a", "b")
    ]
    bodies += [
        (
            EMBEDDING_RELEASE,
            {"name": f"x-r{number}", "creationTimestamp": at},
            {"model": "x", "cause": cause},
        )
        for number, (cause, at) in enumerate(releases)
    ]
    for version, (kind, metadata, spec) in enumerate(bodies, 1):
        metadata |= {"namespace": "shop", "uid": str(version), "resourceVersion": str(version)}
        cache.put(kind, {"metadata": metadata, "spec": spec})
    return cache


def test_releases_of_the_last_hour_count_and_no_others() -> None:
    cache = cache_with(
        ("Drift", "2026-01-31T11:30:00Z"),
        ("Drift", "2026-01-31T11:00:01Z"),
        ("Drift", "2026-01-31T10:59:59Z"),
        ("ModelChanged", "2026-01-31T11:30:00Z"),
    )
    limit = DriftLimit(cache, lambda: NOW)
    assert limit.made_for_others(KEY) == 2
    assert limit.made_for_others(BARE) == 0, "nobody asks there"


def test_what_another_worker_is_making_counts_until_it_is_in_the_cache() -> None:
    limit = DriftLimit(cache_with(), lambda: NOW)
    making = Plan(releases=({"spec": {"cause": "Drift"}},))
    with limit.reserved(KEY, making):
        assert limit.made_for_others(OTHER) == 1 and limit.made_for_others(KEY) == 0
        with limit.reserved(OTHER, Plan(releases=({"spec": {"cause": "First"}},))):
            assert limit.made_for_others(KEY) == 0
    assert limit.made_for_others(OTHER) == 0


def test_who_approved_is_all_that_is_kept_of_managed_fields() -> None:
    cache = Cache()
    approved = {"f:metadata": {"f:annotations": {"f:lockstep.dev/approve": {}, "f:x": {}}}}
    fields = [
        {"manager": "helm", "fieldsV1": {"f:spec": {}}},
        {"manager": "kubectl-annotate", "fieldsV1": approved},
    ]
    metadata = {"name": "a", "namespace": "shop", "uid": "1", "resourceVersion": "1"}
    body = {"metadata": metadata | {"managedFields": fields}, "spec": {"targetRef": {"name": "a"}}}
    cache.put(DRIFT_POLICY, body)
    (kept,) = cache.of_model(KEY, DRIFT_POLICY)
    (field,) = kept["metadata"]["managedFields"]
    assert field["manager"] == "kubectl-annotate"
    assert list(field["fieldsV1"]["f:metadata"]["f:annotations"]) == ["f:lockstep.dev/approve"]
