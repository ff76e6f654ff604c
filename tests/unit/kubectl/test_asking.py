"""Which release a verb means, which value asks for it, and what counts as an answer."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from typing import Any, cast

import pytest
from rich.console import Console

from lockstep_core.protocol.verbs import Verb
from lockstep_kubectl.api import Api, ApiError, Object
from lockstep_kubectl.asking import CannotAsk, Request, ask, request_of, resume_of
from lockstep_kubectl.gather import Unknown, model_of, read
from lockstep_kubectl.lists import gates_of_release, history_of, history_table
from tests.unit.decide import worlds
from tests.unit.gitops.situations import model_in, world_of

pytestmark = pytest.mark.unit


def releases_in(name: str) -> list[Object]:
    found = world_of(name).objects.items()
    return [raw for (kind, _), raw in sorted(found) if kind == "EmbeddingRelease"]


def request(verb: Verb, name: str, named: str | None = None) -> Request:
    return request_of(verb, model_in(name), releases_in(name), named)


@pytest.mark.parametrize(
    ("verb", "name", "value"),
    [
        (Verb.PROMOTE, "at a step", "r2"),
        (Verb.ABORT, "at a step", "r2"),
        (Verb.PAUSE, "at a step", "r2"),
        (Verb.RETRY, "undecided", "r2"),
        (Verb.RETRY, "gate failed", "r2"),
        # `abort: r2` was handled: that is another verb, whose values do not matter here.
        (Verb.RETRY, "aborted", "r2"),
        (Verb.PROMOTE, "watched", "r2"),
        (Verb.RETRY, "watched, undecided", "r2"),
        (Verb.ROLLBACK, "two", "r1"),
        (Verb.ROLLBACK, "rolled back", "r2"),
    ],
)
def test_the_release_that_a_verb_means(verb: Verb, name: str, value: str) -> None:
    found = request(verb, name)
    assert (found.value, found.annotation) == (value, f"lockstep.dev/{verb}")


def test_a_value_that_was_handled_is_counted_up() -> None:
    assert request(Verb.ABORT, "aborted", "r2").value == "r2.2"
    assert request(Verb.ABORT, "aborted", "glyphs-r2").value == "r2.2"
    assert request(Verb.ABORT, "aborted", "r1").value == "r1"


@pytest.mark.parametrize(
    ("verb", "name", "words"),
    [
        (Verb.PROMOTE, "two", "no release of glyphs is on its way (there are r2 (Serving), r1"),
        (Verb.ABORT, "two", "use: kubectl lockstep rollback"),
        (Verb.RETRY, "two", "the newest one did not fail"),
        (Verb.ROLLBACK, "healthy", "no earlier release is kept whole"),
        (Verb.ROLLBACK, "window over", "there are r2 (Serving), r1 (Retired)"),
        (Verb.PROMOTE, "no index", "there is none yet"),
    ],
)
def test_what_cannot_be_asked_is_told_with_the_fix(verb: Verb, name: str, words: str) -> None:
    with pytest.raises(CannotAsk) as caught:
        request(verb, name)
    assert words in str(caught.value)


@pytest.mark.parametrize("named", ["r9", "other-r1", "one", "r0"])
def test_a_release_that_is_not_there_is_told_with_those_that_are(named: str) -> None:
    with pytest.raises(CannotAsk, match=rf'no release "{named}" of glyphs: there are r2'):
        request(Verb.ROLLBACK, "two", named)


def test_resume_lets_go_of_the_annotation_alone() -> None:
    found = resume_of(model_in("paused by name"))
    assert (found.annotation, found.value, found.release) == ("lockstep.dev/pause", None, "r2")
    with pytest.raises(CannotAsk, match=r"lockstep\.dev/promote=r2"):
        resume_of(model_in("at a step"))
    with pytest.raises(CannotAsk, match="it is Healthy"):
        resume_of(model_in("healthy"))
    model = model_in("healthy")
    model["spec"]["rollout"]["paused"] = True
    with pytest.raises(CannotAsk, match=r"spec\.rollout\.paused.*kubectl patch em/glyphs -n shop"):
        resume_of(model)


class WorldApi:
    """The API of a world, whose operator makes a pass before each look."""

    def __init__(self, world: worlds.World, *, alive: bool = True) -> None:
        self.world, self.alive = world, alive

    def get(self, path: str, query: Any = None) -> Object:
        if self.alive:
            self.world.settle()
        kind = "EmbeddingRelease" if "embeddingreleases" in path else "EmbeddingModel"
        found = self.world.objects.get((kind, path.rpartition("/")[2]))
        if found is None:
            raise ApiError(404, "not found")
        return found

    def list(self, path: str, selector: str | None = None) -> list[Object]:
        kinds = {"embeddingmodels": "EmbeddingModel", "pods": "Pod", "jobs": "Job"}
        kind = kinds.get(path.rpartition("/")[2])
        return [raw for (found, _), raw in self.world.objects.items() if found == kind]

    def merge(self, path: str, body: Object) -> Object:
        ((key, value),) = body["metadata"]["annotations"].items()
        self.world.annotate(key.partition("/")[2], value)
        return {}


def answered(world: worlds.World, found: Request, *, alive: bool = True) -> Any:
    ticks: Iterator[int] = count()
    api = cast(Api, WorldApi(world, alive=alive))
    clock = ticks.__next__
    return ask(api, found, wait_seconds=5, clock=clock, sleep=lambda seconds: None)


def test_the_operators_answer_is_waited_for() -> None:
    from tests.unit.gitops.situations import at_a_step, paused_by_name

    done = answered(at_a_step(), request(Verb.PROMOTE, "at a step"))
    assert done.accepted is True and done.outcome.startswith("accepted: r2")
    done = answered(worlds.two(), request(Verb.RETRY, "two", "r2"))
    assert done.accepted is False and done.outcome.startswith("refused: r2 is Serving")
    done = answered(at_a_step(), request(Verb.PAUSE, "at a step"))
    assert done.accepted is True and "r2 is held" in done.outcome
    done = answered(worlds.second("Training"), request(Verb.PAUSE, "at a step"))
    assert done.accepted is True and "held before its next stage" in done.outcome
    done = answered(paused_by_name(), resume_of(model_in("paused by name")))
    assert done.accepted is True and "r2 goes on" in done.outcome


def test_silence_is_told_and_is_no_answer() -> None:
    done = answered(worlds.two(), request(Verb.ROLLBACK, "two"), alive=False)
    assert done.accepted is None
    assert "did not answer within 5 s" in done.outcome
    assert "lockstep.dev/rollback=r1 is set" in done.outcome


def test_a_model_that_is_not_there() -> None:
    api = cast(Api, WorldApi(worlds.healthy()))
    assert model_of(api, "shop", "glyphs")["metadata"]["name"] == "glyphs"
    with pytest.raises(Unknown, match='no EmbeddingModel "fonts" in namespace shop: there are gly'):
        model_of(api, "shop", "fonts")


def test_what_is_read_belongs_to_its_own_model() -> None:
    world = worlds.healthy()
    other = {"name": "other-r1", "labels": {"lockstep.dev/model": "other"}}
    world.create({"kind": "Job", "metadata": other, "spec": {}})
    (found,) = read(cast(Api, WorldApi(world)), "shop", None)
    assert found.jobs and {
        job["metadata"]["labels"]["lockstep.dev/model"] for job in found.jobs
    } == {"glyphs"}


def test_history_of_records_and_of_what_only_the_model_remembers() -> None:
    model = model_in("gate failed")
    gone = {"release": "glyphs-r0", "outcome": "Aborted", "reason": "Aborted"}
    gone |= {"finishedAt": "2026-01-31T11:00:00Z", "replacedAt": "2026-01-31T11:30:00Z"}
    model["status"]["history"].append(gone)
    found = history_of(model, releases_in("gate failed"))
    told = [(past.release, past.stage, past.outcome, past.reason) for past in found]
    assert told == [
        ("r2", "Failed", "Failed", "GateFailed"),
        ("r1", "Serving", "Promoted", "First"),
        ("r0", None, "Aborted", "Aborted"),
    ]
    assert found[2].replaced_at is not None and found[0].replaced_at is None


def test_history_tells_what_a_release_took_after_it_was_rolled_back() -> None:
    world = worlds.healthy().change_model("training.seed", 7).run_to("Indexing", 2)
    world.pass_time(300).run().pass_time(3600).annotate("rollback", "r1").run()
    releases = [raw for (kind, _), raw in world.objects.items() if kind == "EmbeddingRelease"]
    found = history_of(world.objects["EmbeddingModel", worlds.MODEL], releases)
    console = Console(file=io.StringIO(), width=120)
    console.print(history_table(found, world.now + timedelta(seconds=60)))
    assert isinstance(console.file, io.StringIO)
    head, second, first = console.file.getvalue().splitlines()
    assert head.split()[-2:] == ["TOOK", "REPLACED"]
    assert second.count("RolledBack") == 1 and second.rstrip().endswith("5 min  60 s ago")
    assert not first.rstrip().endswith("ago")


def test_gates_of_a_release_and_of_what_is_judged() -> None:
    model, releases = model_in("gate failed"), releases_in("gate failed")
    assert [gate.verdict for gate in gates_of_release(model, releases, None)] == ["Fail"]
    assert [gate.verdict for gate in gates_of_release(model, releases, "r1")] == ["Pass"]
