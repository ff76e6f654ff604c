"""Why a server cannot start. Exit codes, table and termination message are those of the Jobs."""

from __future__ import annotations

from lockstep_core.jobs import JobFailure


class StartError(JobFailure):
    """The server must not serve: exit code, CamelCase reason, and what is wrong and what to do."""
