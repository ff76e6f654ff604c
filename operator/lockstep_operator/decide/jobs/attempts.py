"""The book of attempts: which Job is the current one, what failed, when the next one starts.

The record runs ahead of the Jobs: attempt N+1 is written down, with its time, in the same write
that counts the failure of attempt N. So a failure is counted once, however often it is seen.
"""

from __future__ import annotations

import hashlib

from lockstep_operator.api.release import Attempts, EmbeddingReleaseStatus
from lockstep_operator.manifests import JOBS, JobKind

BASE_SECONDS = 30.0
LIMIT_SECONDS = 1800.0
JITTER = 0.1


def key_of(kind: JobKind, index: str | None = None) -> str:
    """The Job's part of the name: `train`, `import`, `evaluate`, `build-<index>`."""
    return str(kind) if index is None else f"{kind}-{index}"


def book(status: EmbeddingReleaseStatus) -> Attempts:
    return status.attempts or Attempts()


def current(status: EmbeddingReleaseStatus, kind: JobKind, index: str | None = None) -> int:
    """The attempt that the Job's name carries; 1 before the first is written down."""
    numbers = _recorded(book(status), kind)
    return max(1, numbers.get(index or "", 1))


def failures(status: EmbeddingReleaseStatus, kind: JobKind, index: str | None = None) -> int:
    """Failed attempts that count."""
    return book(status).failures.get(key_of(kind, index), 0)


def start(found: Attempts, kind: JobKind, index: str | None, attempt: int) -> Attempts:
    """The book with `attempt` as the current one."""
    row = JOBS[kind]
    assert row.attempts is not None
    numbers = {**_recorded(found, kind), (index or ""): attempt}
    recorded = numbers if row.per_index else attempt
    return found.model_copy(update={row.attempts: recorded})


def start_again(status: EmbeddingReleaseStatus, kind: JobKind) -> Attempts:
    """The book with no failures counted, and new names for the Jobs of this kind that lack a
    result."""
    found = book(status).model_copy(update={"failures": {}})
    built = {build.index for build in status.builds or ()}
    for index, attempt in _recorded(found, kind).items():
        if index not in built:
            found = start(found, kind, index, attempt + 1)
    return found


def _recorded(found: Attempts, kind: JobKind) -> dict[str, int]:
    """The current attempt of each index; of a kind that is not of an index under an empty name."""
    row = JOBS[kind]
    assert row.attempts is not None
    recorded = getattr(found, row.attempts)
    return dict(recorded) if row.per_index else {"": int(recorded)}


def fail_one(
    found: Attempts, kind: JobKind, index: str | None, attempt: int, *, counted: bool
) -> Attempts:
    """The book after `attempt` failed: the next one is current."""
    if counted:
        key = key_of(kind, index)
        counts = {**found.failures, key: found.failures.get(key, 0) + 1}
        found = found.model_copy(update={"failures": counts})
    else:
        found = found.model_copy(update={"disruptions": found.disruptions + 1})
    return start(found, kind, index, attempt + 1)


def backoff_seconds(uid: str, key: str, attempt: int) -> float:
    """min(30 s x 2^(attempt-1), 30 min) -+ 10 %, the same each time for one attempt.

    The jitter comes from the release's uid: releases that failed together do not come back
    together, and a decision made again is the same decision.
    """
    wait = min(BASE_SECONDS * 2.0 ** min(attempt - 1, 16), LIMIT_SECONDS)
    digest = hashlib.sha256(f"{uid}/{key}/{attempt}".encode()).digest()
    share = int.from_bytes(digest[:4], "big") / 2**32
    return min(LIMIT_SECONDS, wait * (1 + JITTER * (2 * share - 1)))
