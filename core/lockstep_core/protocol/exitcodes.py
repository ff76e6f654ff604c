"""Exit codes of every program. None means "gate failed": programs report, the operator judges."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Why a program ended. The operator retries by these."""

    OK = 0
    BAD_CONFIG = 2
    BAD_DATASET = 3
    DIVERGED = 5
    DIGEST_MISMATCH = 6
    EXPORT_FAILED = 7
    OUT_OF_MEMORY = 8
    SELF_CHECK_FAILED = 9
    INTERNAL = 70
    STORE_UNAVAILABLE = 74
    PREEMPTED = 75


# Worth another attempt with the same inputs.
RETRYABLE = frozenset({ExitCode.INTERNAL, ExitCode.STORE_UNAVAILABLE})
# A disruption, not a failure: another attempt, and the count of attempts stands still.
UNCOUNTED = frozenset({ExitCode.PREEMPTED})
