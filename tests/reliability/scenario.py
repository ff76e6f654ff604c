"""One scenario: a story under load, and what it measured."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.support.ground import Ground
from tests.e2e.support.load import Load


@dataclass
class Story:
    """What a scenario tells while it runs. `after` looks at the tally, when the load has ended."""

    ground: Ground
    load: Load
    outcome: str = ""
    line: str = ""
    numbers: dict[str, Any] = field(default_factory=dict)
    checks: list[Callable[[dict[str, Any]], None]] = field(default_factory=list)
    # Text of the answers that a candidate which errs gives for itself.
    own_failures: str = ""

    def after(self, check: Callable[[dict[str, Any]], None]) -> None:
        """`check` gets the tally of the load once it has ended."""
        self.checks.append(check)


Tell = Callable[[Story], None]
SCENARIOS: dict[str, tuple[str, Tell]] = {}


def scenario(name: str, *, on: str = "replicas") -> Callable[[Tell], Tell]:
    """Registers a scenario that is told on the ground of that name."""

    def register(tell: Tell) -> Tell:
        SCENARIOS[name] = (on, tell)
        return tell

    return register


@dataclass
class Result:
    """A row of the table. `error` is why it did not end as it should; empty when it did."""

    name: str
    requests: int = 0
    failed: int = 0
    mixed: int = 0
    wrong: int = 0
    unchecked: int = 0
    seconds: float = 0.0
    outcome: str = ""
    line: str = ""
    numbers: dict[str, Any] = field(default_factory=dict)
    error: str = ""

    @property
    def is_ok(self) -> bool:
        return not self.error


def run(name: str, ground: Ground) -> Result:
    """Tells the scenario under load. Never raises for what went wrong in it."""
    result, begun = Result(name), time.monotonic()
    story = None
    try:
        ground.settle()
        load = ground.under_load()
        story = Story(ground, load)
        try:
            SCENARIOS[name][1](story)
        finally:
            # Counted even when the story did not end as it should.
            result.seconds = round(time.monotonic() - begun, 1)
            result.outcome, result.line = story.outcome, story.line
            tally = load.stop()
            _count(result, tally)
        for check in story.checks:
            check(tally)
        _judge(result, tally, story.own_failures)
    except Exception as error:
        traceback.print_exc()
        result.error = f"{type(error).__name__}: {error}"
    if story is not None:
        result.numbers = {**result.numbers, **story.numbers}
    return result


def _count(result: Result, tally: dict[str, Any]) -> None:
    result.requests, result.failed = tally["requests"], tally["failed"]
    result.mixed = tally["mixed"]
    result.numbers = {"milliseconds": tally["milliseconds"], "failures": tally["failures"][:5]}
    result.numbers["failedAt"] = [round(when, 1) for when in tally["failedAt"][:5]]
    for release, queries in tally["answers"].items():
        known = tally["references"].get(release, {})
        for query, found in queries.items():
            result.unchecked += query not in known
            result.wrong += query in known and found != [known[query]]


def _judge(result: Result, tally: dict[str, Any], own_failures: str) -> None:
    """The bar: nothing failed, nothing mixed, each answer is its named release's own."""
    assert result.requests > 200, f"only {result.requests} requests were made"
    if own_failures:
        others = [text for text in tally["failures"] if own_failures not in text]
        assert not others, f"failures that are not the candidate's: {others[:5]}"
    else:
        assert result.failed == 0, f"{result.failed} failed: {tally['failures'][:5]}"
    assert result.mixed == 0, f"{result.mixed} answers were mixed"
    assert result.wrong == 0, f"{result.wrong} answers were not their release's own"
