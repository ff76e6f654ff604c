"""Kinds and their paths."""

from __future__ import annotations

import pytest

from lockstep_operator.runtime.resources import JOB, POD, resource_of

pytestmark = pytest.mark.unit


def test_paths_of_the_api() -> None:
    assert POD.path("ns", "p", "status") == "/api/v1/namespaces/ns/pods/p/status"
    assert JOB.path(None) == "/apis/batch/v1/jobs"
    assert resource_of("batch/v1", "Job") is JOB
