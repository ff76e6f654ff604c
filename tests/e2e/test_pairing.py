"""The invariant under load: release 2 comes, rollback goes, and no answer is ever of two spaces."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.support.kube import wait_until
from tests.e2e.support.load import glyph_queries, start_load
from tests.e2e.support.world import CONTAINER, RESTRICTED, World

QUERIES = 24
MIXER = Path(__file__).parent / "support" / "mixer.py"
REFUSALS = Path(__file__).parent / "support" / "refusals.py"


@pytest.fixture(scope="module")
def world(make_world: Callable[[str], World]) -> World:
    """Release 1 serves."""
    world = make_world("pairing")
    world.draw()
    world.kube.apply(world.model(), world.index())
    world.until_healthy(1)
    return world


def entry_url(world: World) -> str:
    return f"http://{world.name}:8080/v1/search"


def reference(world: World, release: int, queries: list[str]) -> dict[str, list[str]]:
    """What the release answers at its own Service, which nothing ever moves."""
    url = f"http://{world.name}-r{release}-encoder:8080/v1/search"
    load = start_load(
        world,
        queries,
        url=url,
        name=f"reference-r{release}",
        connections=1,
        limit=2 * len(queries),
    )
    name = f"{world.name}-r{release}"
    tally = load.finish()
    assert tally["failed"] == 0, tally["failures"]
    assert set(tally["answers"]) == {name}
    answers: dict[str, list[str]] = tally["answers"][name]
    assert len(answers) == len(queries), "the reference client did not ask every query"
    return answers


def check(tally: dict[str, Any], references: dict[str, dict[str, list[str]]]) -> None:
    """The bar: nothing failed, nothing mixed, and each answer is its named release's own."""
    assert tally["requests"] > 200
    assert tally["failed"] == 0, tally["failures"]
    assert tally["mixed"] == 0
    for release, queries in tally["answers"].items():
        for query, found in queries.items():
            assert found == references[release][query], (release, query)


def test_release_2_and_rollback_under_load_never_mix_or_fail(world: World) -> None:
    queries = glyph_queries(world, 1, QUERIES)
    load = start_load(world, queries, url=entry_url(world))
    world.patch("em", {"training": {"seed": 1}})
    world.until_healthy(2)
    load.until_seen("glyphs-r2")
    world.annotate("rollback", "r1")
    wait_until(
        lambda: (world.status().get("stable") or {}).get("release") == "glyphs-r1",
        what="the rollback to r1",
        seconds=60,
    )
    world.until_stage(1, "Serving", seconds=60)
    tally = load.stop()
    references = {f"glyphs-r{n}": reference(world, n, queries) for n in (1, 2)}
    differing = [
        q
        for q in references["glyphs-r1"]
        if references["glyphs-r1"][q] != references["glyphs-r2"][q]
    ]
    assert len(differing) >= QUERIES * 3 // 4, "the releases answer alike: the check would be blind"
    assert set(tally["answers"]) == {"glyphs-r1", "glyphs-r2"}, "both releases must have answered"
    check(tally, references)


def test_a_planted_mixed_pair_turns_the_check_red(world: World) -> None:
    """Encoder of r1 over the index of r2, as two rollouts side by side would do it."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "mixer", "namespace": world.namespace, "labels": {"app": "mixer"}},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": RESTRICTED,
            "containers": [
                {
                    "name": "mixer",
                    "image": "lockstep.local/lockstep/encoder:dev",
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["/opt/venv/bin/python", "-c", MIXER.read_text()],
                    "args": ["http://glyphs-r1-encoder:8080", "http://glyphs-r2-glyphs:8080"],
                    "securityContext": CONTAINER,
                }
            ],
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "mixer", "namespace": world.namespace},
        "spec": {"selector": {"app": "mixer"}, "ports": [{"port": 8080}]},
    }
    world.kube.apply(pod, service)
    wait = ("wait", "-n", world.namespace, "pod/mixer", "--for=condition=Ready", "--timeout=60s")
    world.kube.run(*wait)
    queries = glyph_queries(world, 1, 4)
    url = "http://mixer:8080/v1/search"
    tally = start_load(world, queries, url=url, name="mixed", connections=1, limit=20).finish()
    assert tally["requests"] > tally["failed"], tally["failures"]
    assert tally["mixed"] > 0
    with pytest.raises(AssertionError):
        check({**tally, "requests": 1000, "failed": 0}, {})


def test_a_request_that_names_another_space_is_refused(world: World) -> None:
    """409 from the entry point, and from an index that is asked for another release's build."""
    encoder = "deploy/glyphs-r1-encoder"
    text = world.kube.run(
        *("exec", "-n", world.namespace, encoder, "--", "/opt/venv/bin/python", "-c"),
        REFUSALS.read_text(),
    )
    assert json.loads(text) == [409, 409, 409, 200]
