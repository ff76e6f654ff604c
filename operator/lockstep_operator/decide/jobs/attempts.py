"""Recorded attempts: which Job is the current one, what failed, when the next one starts.

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


def recorded_attempts(status: EmbeddingReleaseStatus) -> Attempts:
    return status.attempts or Attempts()


def current(status: EmbeddingReleaseStatus, kind: JobKind, index: str | None = None) -> int:
    """The attempt that the Job's name carries; 1 before the first is written down."""
    numbers = _numbers(recorded_attempts(status), kind)
    return max(1, numbers.get(index or "", 1))


def failures(status: EmbeddingReleaseStatus, kind: JobKind, index: str | None = None) -> int:
    """Failed attempts that count."""
    return recorded_attempts(status).failures.get(key_of(kind, index), 0)


def start(recorded: Attempts, kind: JobKind, index: str | None, attempt: int) -> Attempts:
    """The record with `attempt` as the current one."""
    row = JOBS[kind]
    assert row.attempts is not None
    numbers = {**_numbers(recorded, kind), (index or ""): attempt}
    return recorded.replace(**{row.attempts: numbers if row.per_index else attempt})


def start_again(status: EmbeddingReleaseStatus, kind: JobKind) -> Attempts:
    """The record with no failures counted, and new names for the Jobs of this kind that lack a
    result."""
    recorded = recorded_attempts(status).replace(failures={})
    built = {build.index for build in status.builds or ()}
    for index, attempt in _numbers(recorded, kind).items():
        if index not in built:
            recorded = start(recorded, kind, index, attempt + 1)
    return recorded


def _numbers(recorded: Attempts, kind: JobKind) -> dict[str, int]:
    """The current attempt of each index; of a kind that is not of an index under an empty name."""
    row = JOBS[kind]
    assert row.attempts is not None
    current = getattr(recorded, row.attempts)
    return dict(current) if row.per_index else {"": int(current)}


def fail_one(
    recorded: Attempts, kind: JobKind, index: str | None, attempt: int, *, counted: bool
) -> Attempts:
    """The record after `attempt` failed: the next one is current."""
    if counted:
        key = key_of(kind, index)
        counts = {**recorded.failures, key: recorded.failures.get(key, 0) + 1}
        recorded = recorded.replace(failures=counts)
    else:
        recorded = recorded.replace(disruptions=recorded.disruptions + 1)
    return start(recorded, kind, index, attempt + 1)


def backoff_seconds(uid: str, key: str, attempt: int) -> float:
    """min(30 s x 2^(attempt-1), 30 min) -+ 10 %, the same each time for one attempt.

    The jitter comes from the release's uid: releases that failed together do not come back
    together, and a decision made again is the same decision.
    """
    wait = min(BASE_SECONDS * 2.0 ** min(attempt - 1, 16), LIMIT_SECONDS)
    share = spread(uid, f"{key}/{attempt}") / JITTER
    return min(LIMIT_SECONDS, wait * (1 + JITTER * (2 * share - 1)))


def spread(uid: str, key: str) -> float:
    """A share from 0 to `JITTER`, the same each time: what is due at once is not begun at once."""
    digest = hashlib.sha256(f"{uid}/{key}".encode()).digest()
    return JITTER * int.from_bytes(digest[:4], "big") / 2**32
