"""What a Job's labels tell, also where a hand removed them."""

from __future__ import annotations

import pytest

from lockstep_operator.decide.jobs import job_labels
from lockstep_operator.manifests import JobKind
from tests.unit.manifests.support import samples

pytestmark = pytest.mark.unit


def test_a_job_tells_what_it_was_made_for() -> None:
    release = samples.release()
    job = samples.job("build", samples.model(), release, 3, index=release.spec.indexes[0])
    assert job_labels.kind_of(job) == JobKind.BUILD
    assert (job_labels.index_of(job), job_labels.attempt_of(job)) == ("catalogue", 3)
    assert (job_labels.gate_of(job), job_labels.analysis_of(job)) == (None, "")


def test_a_job_without_labels_is_of_no_kind() -> None:
    job = {"metadata": {"name": "x"}}
    assert (job_labels.kind_of(job), job_labels.attempt_of(job)) == ("", 0)
    assert job_labels.index_of(job) is None
