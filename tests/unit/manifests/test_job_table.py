"""The kinds of Jobs: each has its row, and what a row names is there."""

from __future__ import annotations

import pytest

from lockstep_core.protocol.result import Program
from lockstep_operator.api.release import Attempts
from lockstep_operator.manifests import JOBS, JobKind
from lockstep_operator.manifests.job_table import JobRow

pytestmark = pytest.mark.unit


def test_every_kind_of_job_has_its_row() -> None:
    assert list(JOBS) == list(JobKind)


@pytest.mark.parametrize("row", JOBS.values(), ids=JOBS)
def test_the_record_of_attempts_has_the_field_that_a_row_names(row: JobRow) -> None:
    if row.attempts is not None:
        assert isinstance(getattr(Attempts(), row.attempts), dict if row.per_index else int)


def test_every_program_that_ends_with_a_result_is_that_of_one_kind() -> None:
    servers = {Program.SERVE_ENCODER, Program.SERVE_INDEX}
    programs = [row.program for row in JOBS.values()]
    assert sorted(programs) == sorted(set(Program) - servers)


def test_no_two_kinds_share_a_record_of_attempts() -> None:
    fields = [row.attempts for row in JOBS.values() if row.attempts is not None]
    assert len(fields) == len(set(fields))
