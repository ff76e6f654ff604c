"""Workers with made-up decisions and an applier that only answers: who comes back, and when."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from lockstep_operator.api.kinds import EMBEDDING_MODEL, JOB
from lockstep_operator.api.release import Images
from lockstep_operator.decide.context.plan import Plan
from lockstep_operator.decide.snapshot.observed import Observed, Refusal, Settings
from lockstep_operator.runtime.applier import Outcome
from lockstep_operator.runtime.cache import Cache
from lockstep_operator.runtime.errors import Unavailable
from lockstep_operator.runtime.measuring import Measurer
from lockstep_operator.runtime.monitors import Monitors
from lockstep_operator.runtime.probing import Prober
from lockstep_operator.runtime.queue import Key, WorkQueue
from lockstep_operator.runtime.reconcile import Reconciler, start_workers

pytestmark = pytest.mark.unit

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = Settings(images=Images(trainer="t:1", encoder="e:1", indexer="i:1"))
KEY = Key("ns", "glyphs")
OTHER = Key("ns", "other")


class Answers:
    """Stands for the applier: says what each pass over a key's plan did."""

    def __init__(self, answer: Callable[[Key, int], Outcome]) -> None:
        self._answer = answer
        self.passes: Counter[Key] = Counter()

    async def carry_out(self, key: Key, plan: Plan, known: tuple[Refusal, ...] = ()) -> Outcome:
        self.passes[key] += 1
        return self._answer(key, self.passes[key])


class Stage:
    def __init__(
        self,
        decide: Callable[[Observed, Settings, datetime], Plan],
        answer: Callable[[Key, int], Outcome] = lambda key, number: Outcome(),
    ) -> None:
        self.queue = WorkQueue()
        self.cache = Cache()
        self.answers = Answers(answer)
        applier: Any = self.answers
        self.reconciler = Reconciler(
            queue=self.queue,
            cache=self.cache,
            applier=applier,
            measurer=Measurer(Prober(), Monitors(), wake=self.queue.add, now=lambda: NOW),
            decide=decide,
            settings=SETTINGS,
            now=lambda: NOW,
        )

    async def play(self, *keys: Key, seconds: float = 0.1) -> None:
        workers = start_workers(self.reconciler, count=4)
        for key in keys:
            self.queue.add(key)
        await asyncio.sleep(seconds)
        self.queue.shut_down()
        await asyncio.gather(*workers)


def nothing(observed: Observed, settings: Settings, now: datetime) -> Plan:
    return Plan()


async def test_a_pass_that_wrote_is_decided_again_until_nothing_is_left() -> None:
    stage = Stage(nothing, lambda key, number: Outcome(writes=2 if number < 3 else 0))
    await stage.play(KEY)
    assert stage.answers.passes == {KEY: 3}


async def test_a_decision_that_never_settles_is_slowed_down(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = Stage(nothing, lambda key, number: Outcome(writes=1))
    await stage.play(KEY, seconds=0.5)
    assert 20 < stage.answers.passes[KEY] < 40
    assert "does not settle" in caplog.text


async def test_a_crash_is_told_once_and_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    def decide(observed: Observed, settings: Settings, now: datetime) -> Plan:
        if observed.name == "glyphs":
            raise ValueError("a defect")
        return Plan()

    stage = Stage(decide)
    with caplog.at_level(logging.ERROR):
        await stage.play(KEY, OTHER)
    assert stage.answers.passes == {OTHER: 1}
    assert stage.queue.failures(KEY) > 1, "it is tried again, with backoff"
    crashes = [record for record in caplog.records if record.message == "reconcile crashed"]
    assert len(crashes) == 1
    assert crashes[0].exc_info is not None


async def test_refusals_reach_the_next_decision_and_leave_when_they_pass() -> None:
    seen: list[tuple[Refusal, ...]] = []
    refusal = Refusal(kind="Job", name="glyphs-r1-train-1", message="exceeded quota")

    def decide(observed: Observed, settings: Settings, now: datetime) -> Plan:
        seen.append(observed.refusals)
        return Plan()

    def answer(key: Key, number: int) -> Outcome:
        return Outcome(refusals=[refusal] if number == 1 else [])

    stage = Stage(decide, answer)
    await stage.play(KEY)
    assert seen == [(), (refusal,), ()]


async def test_a_deadline_does_not_wait_for_the_backoff_of_a_refusal() -> None:
    refusal = Refusal(kind="Service", name="glyphs", message="exceeded quota")
    stage = Stage(
        lambda observed, settings, now: Plan(look_again_after=0.05),
        lambda key, number: Outcome(refusals=[refusal]),
    )
    await stage.play(KEY, seconds=0.3)
    assert stage.answers.passes[KEY] >= 4, "the backoff alone begins at a second"


async def test_an_unavailable_server_is_asked_again_later() -> None:
    def answer(key: Key, number: int) -> Outcome:
        if number < 4:
            raise Unavailable(503, "ServiceUnavailable", "etcd is slow")
        return Outcome()

    stage = Stage(nothing, answer)
    await stage.play(KEY, seconds=0.3)
    assert stage.answers.passes == {KEY: 4}
    assert stage.queue.failures(KEY) == 0


async def test_retry_after_is_obeyed() -> None:
    def answer(key: Key, number: int) -> Outcome:
        raise Unavailable(429, "TooManyRequests", "slow down", retry_after=60)

    stage = Stage(nothing, answer)
    await stage.play(KEY)
    assert stage.answers.passes == {KEY: 1}


async def test_a_plan_may_ask_to_be_looked_at_again() -> None:
    asked: list[datetime] = []

    def decide(observed: Observed, settings: Settings, now: datetime) -> Plan:
        asked.append(now)
        return Plan(look_again_after=0.02 if len(asked) == 1 else None)

    await Stage(decide).play(KEY)
    assert asked == [NOW, NOW]


async def test_gather_takes_the_models_own_objects() -> None:
    stage = Stage(nothing)
    for kind, name, model in (
        (EMBEDDING_MODEL, "glyphs", ""),
        (JOB, "a", "glyphs"),
        (JOB, "b", "x"),
    ):
        metadata = {
            "namespace": "ns",
            "name": name,
            "uid": name,
            "resourceVersion": "1",
            "labels": {"lockstep.dev/model": model},
        }
        stage.cache.put(kind, {"metadata": metadata})
    observed = stage.reconciler.gather(KEY)
    assert observed.model is not None
    assert [job["metadata"]["name"] for job in observed.jobs] == ["a"]
    assert stage.reconciler.gather(Key("ns", "x")).model is None
