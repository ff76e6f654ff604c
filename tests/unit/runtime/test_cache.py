"""The cache under lost, repeated and reordered news."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep_operator.api.kinds import (
    AUTOSCALER,
    EMBEDDING_MODEL,
    EMBEDDING_RELEASE,
    HTTP_ROUTE,
    JOB,
    POD,
    VECTOR_INDEX,
    ResourceKind,
)
from lockstep_operator.runtime.cache import Cache
from lockstep_operator.runtime.queue import Key

pytestmark = pytest.mark.unit

GLYPHS = Key("ns", "glyphs")


def thing(
    kind: ResourceKind,
    name: str,
    version: int,
    *,
    uid: str | None = None,
    labels: dict[str, str] | None = None,
    **fields: Any,
) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "namespace": "ns",
        "name": name,
        "uid": uid or f"uid-{name}",
        "resourceVersion": str(version),
    }
    if labels is not None:
        metadata["labels"] = labels
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **fields}


def job(version: int, **more: Any) -> dict[str, Any]:
    return thing(JOB, "glyphs-r1-train-1", version, labels={"lockstep.dev/model": "glyphs"}, **more)


def test_the_load_that_an_autoscaler_tells_of_is_no_news() -> None:
    cache, mine = Cache(), {"lockstep.dev/model": "glyphs"}

    def scaler(version: int, least: int, load: int) -> dict[str, Any]:
        spec, status = {"minReplicas": least}, {"currentReplicas": load}
        return thing(AUTOSCALER, "r1", version, labels=mine, spec=spec, status=status)

    assert cache.observe(AUTOSCALER, "ADDED", scaler(1, 2, 3)) == {GLYPHS}
    assert cache.observe(AUTOSCALER, "MODIFIED", scaler(2, 2, 4)) == set()
    stored = cache.get(AUTOSCALER, "ns", "r1")
    assert stored is not None and stored["metadata"]["resourceVersion"] == "2"
    assert "status" not in stored
    assert cache.observe(AUTOSCALER, "MODIFIED", scaler(3, 1, 4)) == {GLYPHS}


def test_an_older_version_never_replaces_a_newer_one() -> None:
    cache = Cache()
    assert cache.observe(JOB, "ADDED", job(5)) == {GLYPHS}
    assert cache.put(JOB, job(9)) == {GLYPHS}
    assert cache.observe(JOB, "MODIFIED", job(7)) == set()
    assert cache.observe(JOB, "MODIFIED", job(9)) == set()
    stored = cache.get(JOB, "ns", "glyphs-r1-train-1")
    assert stored is not None and stored["metadata"]["resourceVersion"] == "9"


@pytest.mark.parametrize("place", [None, "ns"])
def test_a_kind_that_comes_or_goes_is_news_to_the_models_there(place: str | None) -> None:
    cache = Cache()
    cache.put(EMBEDDING_MODEL, thing(EMBEDDING_MODEL, "glyphs", 1))
    elsewhere = thing(EMBEDDING_MODEL, "other", 1)
    elsewhere["metadata"]["namespace"] = "elsewhere"
    cache.put(EMBEDDING_MODEL, elsewhere)
    there = {GLYPHS} if place else {GLYPHS, Key("elsewhere", "other")}
    assert not cache.serves(HTTP_ROUTE, "ns")
    assert cache.note_served(HTTP_ROUTE, place, False) == set()
    assert cache.note_served(HTTP_ROUTE, place, True) == there
    assert cache.note_served(HTTP_ROUTE, place, True) == set(), "known already"
    assert cache.serves(HTTP_ROUTE, "ns")
    assert cache.serves(HTTP_ROUTE, "elsewhere") == (place is None)
    assert cache.note_served(HTTP_ROUTE, place, False) == there
    assert not cache.serves(HTTP_ROUTE, "ns")


def test_versions_are_compared_as_numbers() -> None:
    cache = Cache()
    cache.put(JOB, job(99))
    assert cache.observe(JOB, "MODIFIED", job(100)) == {GLYPHS}


def test_a_late_event_does_not_resurrect_a_deleted_object() -> None:
    cache = Cache()
    cache.observe(JOB, "ADDED", job(5))
    assert cache.observe(JOB, "DELETED", job(8)) == {GLYPHS}
    assert cache.observe(JOB, "MODIFIED", job(7)) == set()
    assert cache.of_model(GLYPHS, JOB) == ()
    # A new object of that name is another object.
    assert cache.observe(JOB, "ADDED", job(9, uid="another")) == {GLYPHS}


def test_what_we_deleted_stays_deleted_while_the_watch_lags() -> None:
    cache = Cache()
    cache.put(JOB, job(5))
    assert cache.gone(JOB, "ns", "glyphs-r1-train-1", "uid-glyphs-r1-train-1") == {GLYPHS}
    assert cache.observe(JOB, "MODIFIED", job(6)) == set()
    assert cache.observe(JOB, "DELETED", job(7)) == set()
    assert cache.of_model(GLYPHS, JOB) == ()


def test_a_late_deletion_does_not_remove_the_successor() -> None:
    cache = Cache()
    cache.put(JOB, job(10, uid="second"))
    assert cache.observe(JOB, "DELETED", job(8, uid="first")) == set()
    assert len(cache.of_model(GLYPHS, JOB)) == 1


def test_an_object_that_lost_its_label_comes_back_by_a_live_read() -> None:
    """The watch says DELETED at the version at which the label went away."""
    cache = Cache()
    cache.put(JOB, job(5))
    cache.observe(JOB, "DELETED", job(6))
    assert cache.put(JOB, job(6)) == {GLYPHS}


def test_a_moved_index_wakes_both_models() -> None:
    cache = Cache()
    old = thing(VECTOR_INDEX, "idx", 1, spec={"modelRef": {"name": "glyphs"}})
    new = thing(VECTOR_INDEX, "idx", 2, spec={"modelRef": {"name": "other"}})
    assert cache.observe(VECTOR_INDEX, "ADDED", old) == {GLYPHS}
    assert cache.observe(VECTOR_INDEX, "MODIFIED", new) == {GLYPHS, Key("ns", "other")}
    assert cache.of_model(GLYPHS, VECTOR_INDEX) == ()


def test_an_aggregate_holds_the_objects_of_its_model_only() -> None:
    cache = Cache()
    cache.put(EMBEDDING_MODEL, thing(EMBEDDING_MODEL, "glyphs", 1))
    cache.put(EMBEDDING_RELEASE, thing(EMBEDDING_RELEASE, "glyphs-r1", 2, spec={"model": "glyphs"}))
    cache.put(JOB, job(3))
    cache.put(JOB, thing(JOB, "x", 4, labels={"lockstep.dev/model": "other"}))
    cache.put(POD, thing(POD, "stranger", 5, labels={}))
    assert [o["metadata"]["name"] for o in cache.of_model(GLYPHS, JOB)] == ["glyphs-r1-train-1"]
    assert len(cache.of_model(GLYPHS, EMBEDDING_RELEASE)) == 1
    assert cache.of_model(Key("ns", "none"), JOB) == ()
    assert set(cache.models()) == {GLYPHS, Key("ns", "other")}


def test_a_whole_list_drops_what_it_lacks_unless_that_is_newer() -> None:
    cache = Cache()
    cache.put(JOB, job(5))
    cache.put(JOB, thing(JOB, "newer", 50, labels={"lockstep.dev/model": "glyphs"}))
    assert cache.prune(JOB, "elsewhere", set(), 20) == set()
    assert cache.prune(JOB, None, set(), 20) == {GLYPHS}
    assert [o["metadata"]["name"] for o in cache.of_model(GLYPHS, JOB)] == ["newer"]


def test_bulk_is_not_kept() -> None:
    cache = Cache()
    body = thing(
        POD,
        "p",
        1,
        labels={"lockstep.dev/model": "glyphs"},
        spec={
            "nodeName": "n1",
            "volumes": [{"name": "v"}],
            "containers": [{"name": "main", "image": "i", "env": [{"name": "A", "value": "b"}]}],
        },
        status={"phase": "Running"},
    )
    body["metadata"]["managedFields"] = [{"manager": "x"}]
    body["metadata"]["annotations"] = {
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
        "kept": "yes",
    }
    cache.put(POD, body)
    kept = cache.get(POD, "ns", "p")
    assert kept is not None
    assert "managedFields" not in kept["metadata"]
    assert kept["metadata"]["annotations"] == {"kept": "yes"}
    assert kept["spec"] == {"nodeName": "n1", "containers": [{"name": "main", "image": "i"}]}
    assert kept["status"] == {"phase": "Running"}
    assert body["metadata"]["managedFields"], "the caller's object is not touched"


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_any_delivery_of_a_history_ends_in_its_last_state(data: st.DataObject) -> None:
    """One object lives, dies and is born again; news come repeated, reordered and by two ways.

    As long as the last news arrives by any way, the cache ends with the last state.
    """
    history: list[tuple[str, dict[str, Any]]] = []
    version, alive, generation = 0, False, 0
    for _ in range(data.draw(st.integers(1, 12))):
        version += 1
        if alive and data.draw(st.booleans()):
            history.append(("DELETED", job(version, uid=f"u{generation}")))
            alive = False
        else:
            generation += 0 if alive else 1
            history.append(("MODIFIED", job(version, uid=f"u{generation}")))
            alive = True
    deliveries = data.draw(st.lists(st.sampled_from(history), max_size=25))
    deliveries.insert(data.draw(st.integers(0, len(deliveries))), history[-1])
    cache = Cache()
    for event, body in deliveries:
        if event == "MODIFIED" and data.draw(st.booleans()):
            cache.put(JOB, body)
        else:
            cache.observe(JOB, event, body)
    found = cache.of_model(GLYPHS, JOB)
    assert len(found) == (1 if alive else 0)
    if alive:
        assert found[0]["metadata"]["resourceVersion"] == str(version)
