"""What a monitor answers over HTTP."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import ValidationError

from lockstep_core.drift import geometry
from lockstep_core.drift.bet import Bet
from lockstep_core.drift.bet_wire import bet_from_wire
from lockstep_core.drift.errors import DriftError
from lockstep_core.network.pages import Answer
from lockstep_core.protocol.monitoring import (
    MAX_ANSWERED_WINDOWS,
    SKETCHES_SCHEMA,
    BetsRequest,
)
from lockstep_core.protocol.recall import RecallAnswer, RecallWindow
from lockstep_monitor.closed import Closed
from lockstep_monitor.monitor import Monitor
from lockstep_monitor.windows import BetKey

REPORTED = 24
JSON, TEXT = "application/json", "text/plain"
NO_BASELINE = (
    "this artifact has no held-out baseline: it needs 2,000 distinct held-out items when the model"
    " is trained or exported; a baseline of traffic needs none"
)


def _words(status: int, text: str) -> Answer:
    return status, TEXT, f"{text}\n".encode()


def sketches(monitor: Monitor, query: str) -> Answer:
    """`GET /v1/sketch?after=<window>`."""
    after = _after(query)
    if isinstance(after, str):
        return _words(422, after)
    windows, handover = monitor.windows, monitor.watched.handover
    found: list[Closed] = []
    opened = 0
    if windows is not None:
        opened, found = windows.closed_after(after, MAX_ANSWERED_WINDOWS)
    head: dict[str, Any] = {
        "schema": SKETCHES_SCHEMA,
        "release": monitor.config.release,
        "space": handover.space_id if handover else None,
        "featuresDigest": windows.features.digest if windows else None,
        "windowSeconds": monitor.config.window_seconds,
        "openWindow": opened,
    }
    # Each sketch became JSON when its window closed.
    body = json.dumps(head).removesuffix("}").encode() + b', "sketches": ['
    return 200, JSON, body + b",".join(each.wire for each in found) + b"]}"


def recall(monitor: Monitor, query: str) -> Answer:
    """`GET /v1/recall?after=<window>`."""
    after = _after(query)
    if isinstance(after, str):
        return _words(422, after)
    measured, config, handover = monitor.recall, monitor.config, monitor.watched.handover
    opened, closed, filling = measured.counts.closed_after(after)
    problems = [text for _, text in sorted(measured.problems.copy().items())]
    answer = RecallAnswer(
        release=config.release,
        space=handover.space_id if handover else None,
        window_seconds=config.window_seconds,
        open_window=opened,
        per_minute=measured.config.per_minute,
        k=measured.config.k,
        indexes=[index.name for index in measured.config.indexes],
        windows=closed,
        open=filling,
        problem="; ".join(problems)[:1000] or None,
    )
    return 200, JSON, json.dumps(answer.to_wire()).encode()


def _after(query: str) -> int | str:
    """The window that the answer begins after, or what is wrong with it."""
    asked = parse_qs(query, keep_blank_values=True).get("after", ["-1"])[-1]
    if not asked.removeprefix("-").isdecimal() or len(asked) > 17:
        return f"`after` is {asked[:40]!r}, must be the number of a window"
    return int(asked)


def baseline(monitor: Monitor) -> Answer:
    """`GET /v1/baseline`."""
    watched = monitor.watched
    if watched.baseline is not None:
        return 200, JSON, watched.baseline
    return _words(404, watched.problem or NO_BASELINE)


def place_bets(monitor: Monitor, body: bytes) -> Answer:
    """`PUT /v1/bets`: all of them are taken, or none."""
    windows = monitor.windows
    if windows is None:
        return _words(409, monitor.watched.problem or "nothing is watched")
    try:
        request = BetsRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the body"
        return _words(422, f"`{where}`: {first['msg']}")
    digest = windows.features.digest
    if request.features_digest != digest:
        return _words(
            409,
            f"`featuresDigest` is {request.features_digest}, this pod watches with {digest}: ask"
            " for its sketches again",
        )
    bets: dict[BetKey, Bet] = {}
    for number, wire in enumerate(request.bets):
        try:
            bet = bet_from_wire(wire, digest)
        except DriftError as error:
            return _words(422, f"`bets.{number}`: {error}")
        if len(bet.witness) != windows.features.size:
            return _words(
                422,
                f"`bets.{number}.witness` has {len(bet.witness)} numbers, the features are"
                f" {windows.features.size}",
            )
        if (bet.key, bet.role) in bets:
            return _words(422, f"`bets.{number}`: key {bet.key!r} bets twice on {bet.role}")
        bets[bet.key, bet.role] = bet
    first_windows = windows.place(tuple(bets.values()))
    placed = [
        {"key": key, "role": role, "fromWindow": window}
        for (key, role), window in first_windows.items()
    ]
    return 200, JSON, json.dumps({"bets": placed}).encode()


def report(monitor: Monitor) -> Answer:
    """`GET /v1/report`, for people: what is watched, and the last windows."""
    watched, windows, config = monitor.watched, monitor.windows, monitor.config
    handover = watched.handover
    content = {
        "model": config.model,
        "release": config.release,
        "namespace": config.namespace,
        "space": handover.space_id if handover else None,
        "artifactDigest": handover.artifact_digest if handover else None,
        "featuresDigest": windows.features.digest if windows else None,
        "features": windows.features.size if windows else None,
        "heldOutBaseline": watched.baseline is not None,
        "problem": watched.problem,
        "lastRefusal": monitor.refusal,
        "windowSeconds": config.window_seconds,
        "openWindow": windows.open_window if windows else None,
        "bets": windows.bets if windows else 0,
        "windows": [_reported(each) for each in windows.last(REPORTED)] if windows else [],
        "recall": _recall_report(monitor),
    }
    return 200, JSON, json.dumps(content, indent=2).encode() + b"\n"


def _recall_report(monitor: Monitor) -> dict[str, Any]:
    measured = monitor.recall
    opened, closed, filling = measured.counts.closed_after(-1)
    last: list[RecallWindow] = [*closed, *filling][-REPORTED:]
    return {
        "perMinute": measured.config.per_minute,
        "k": measured.config.k,
        "indexes": [index.name for index in measured.config.indexes],
        "problems": dict(sorted(measured.problems.copy().items())),
        "openWindow": opened,
        "windows": [
            {"window": each.window, "index": each.index, "n": each.n, "recall": round(each.mean, 4)}
            for each in last
        ],
    }


def _reported(closed: Closed) -> dict[str, Any]:
    sketch = closed.sketch
    counters = sketch.counters
    begun = datetime.fromtimestamp(sketch.span.start_unix, UTC)
    return {
        "window": closed.window,
        "begun": begun.isoformat().replace("+00:00", "Z"),
        "role": sketch.role,
        "n": sketch.n,
        "observed": counters.observed,
        "sampled": counters.sampled,
        "dropped": counters.dropped,
        "duplicates": counters.duplicates,
        "invalid": {reason.value: count for reason, count in counters.invalid.items()},
        "geometry": {str(gauge): round(value, 6) for gauge, value in geometry.read(sketch).items()},
    }


def metrics(monitor: Monitor) -> Answer:
    return 200, CONTENT_TYPE_LATEST, monitor.metrics.render()


def healthy() -> Answer:
    return _words(200, "ok")
