"""Reading Events: few, seldom, never in the way of a pass."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lockstep_operator.api.kinds import ResourceKind
from lockstep_operator.decide.snapshot.observed import Observed, SeenEvent
from lockstep_operator.runtime.errors import Refused
from lockstep_operator.runtime.seen_events import SUBJECTS_A_PASS, EventReader, seen

pytestmark = pytest.mark.unit

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
FAILED = {"reason": "FailedCreate", "message": "exceeded quota", "type": "Warning"}
LEGACY = FAILED | {
    "firstTimestamp": "2026-01-01T11:00:00Z",
    "lastTimestamp": "2026-01-01T11:59:00Z",
}


class Server:
    """An API that answers with one Event, or as the test says."""

    def __init__(self, answer: Any = None) -> None:
        self.asked: list[Mapping[str, str]] = []
        self.answer = answer

    async def some(
        self, kind: ResourceKind, namespace: str, *, fields: Mapping[str, str], limit: int
    ) -> list[dict[str, Any]]:
        assert (kind.kind, namespace) == ("Event", "ns") and limit <= 100
        self.asked.append(fields)
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer == "never":
            await asyncio.sleep(60)
        return [LEGACY]


class Time:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def reader(server: Server, **options: Any) -> tuple[EventReader, Time]:
    time = Time()
    return EventReader(server, clock=time, **options), time  # type: ignore[arg-type]


def job(name: str, *, spec: Any = None, at: str = "2026-01-01T11:59:00Z") -> dict[str, Any]:
    metadata = {"name": name, "namespace": "ns", "uid": f"uid-{name}", "creationTimestamp": at}
    return {"metadata": metadata, "spec": spec or {}}


def model(*jobs: dict[str, Any]) -> Observed:
    return Observed(namespace="ns", name="glyphs", model=None, objects={"Job": jobs})


async def test_nothing_is_read_for_what_has_just_begun_or_is_held() -> None:
    server = Server()
    events, _ = reader(server)
    young, held = job("young", at="2026-01-01T11:59:55Z"), job("held", spec={"suspend": True})
    assert await events.of(model(young, held), NOW) == {}
    assert server.asked == []


async def test_a_job_is_asked_about_by_uid_and_its_answer_is_remembered() -> None:
    server = Server()
    events, time = reader(server)
    found = await events.of(model(job("a")), NOW)
    said = SeenEvent("FailedCreate", "exceeded quota", "2026-01-01T11:59:00Z")
    assert found == {("Job", "a"): (said,)}
    assert server.asked == [
        {
            "involvedObject.kind": "Job",
            "involvedObject.name": "a",
            "involvedObject.uid": "uid-a",
        }
    ]
    time.seconds = 20.0
    assert await events.of(model(job("a")), NOW) == found and len(server.asked) == 1
    time.seconds = 30.0
    await events.of(model(job("a")), NOW + timedelta(seconds=30))
    assert len(server.asked) == 2, "each look of a pass that waits reads anew"


async def test_of_many_each_has_its_turn() -> None:
    server = Server()
    events, time = reader(server)
    many = [job(f"j{number}") for number in range(2 * SUBJECTS_A_PASS)]
    time.seconds = 1.0
    assert len(await events.of(model(*many), NOW)) == SUBJECTS_A_PASS == len(server.asked)
    time.seconds = 2.0
    assert len(await events.of(model(*many), NOW)) == 2 * SUBJECTS_A_PASS
    assert len({fields["involvedObject.name"] for fields in server.asked}) == len(many)


@pytest.mark.parametrize("answer", [Refused(403, "Forbidden", "no right to list events"), "never"])
async def test_a_read_that_fails_or_hangs_leaves_the_pass_with_what_it_had(answer: Any) -> None:
    server = Server()
    events, time = reader(server, timeout=0.05)
    before = await events.of(model(job("a")), NOW)
    time.seconds = 30.0
    server.answer = answer
    assert await asyncio.wait_for(events.of(model(job("a")), NOW), 5) == before
    assert await asyncio.wait_for(events.of(model(job("a")), NOW), 5) == before
    assert len(server.asked) == 2, "it is not asked again at once"


async def test_what_is_gone_is_forgotten() -> None:
    server = Server()
    events, time = reader(server)
    await events.of(model(job("a")), NOW)
    time.seconds = 700.0
    await events.of(model(job("b")), NOW)
    assert len(events._known) == 1


@pytest.mark.parametrize(
    ("times", "at"),
    [
        ({"lastTimestamp": "2026-01-01T11:59:00Z"}, "2026-01-01T11:59:00Z"),
        ({"eventTime": "2026-01-01T11:58:00.123456Z"}, "2026-01-01T11:58:00Z"),
        (
            {
                "eventTime": "2026-01-01T11:58:00.123456Z",
                "series": {"count": 3, "lastObservedTime": "2026-01-01T11:59:30.000001Z"},
            },
            "2026-01-01T11:59:30Z",
        ),
        (
            {"lastTimestamp": None, "metadata": {"creationTimestamp": "2026-01-01T11:57:00Z"}},
            "2026-01-01T11:57:00Z",
        ),
        ({}, ""),
    ],
)
def test_the_last_time_of_an_event_whoever_wrote_it(times: dict[str, Any], at: str) -> None:
    assert seen(FAILED | times).at == at
    assert seen({}) == SeenEvent("", "", "", warning=False)
