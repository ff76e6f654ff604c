"""Names: inside their limits, and two things never get one name."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep_operator.manifests import names
from lockstep_operator.manifests.names import JobKind

pytestmark = pytest.mark.unit

DNS_1035 = re.compile(r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
KIND_NAMES = st.from_regex(r"\A[a-z]([-a-z0-9]{0,28}[a-z0-9])?\Z")
NUMBERS = st.integers(min_value=1, max_value=9_999_999)


@given(KIND_NAMES, NUMBERS, KIND_NAMES, st.integers(min_value=1, max_value=999))
def test_names_are_dns_labels_inside_their_limits(
    em: str, n: int, index: str, attempt: int
) -> None:
    release = names.release_name(em, n)
    jobs = [names.job_name(release, kind, attempt, index) for kind in JobKind]
    servers = names.encoder_name(release), names.index_name(release, index)
    for name in (release, *servers, *jobs):
        assert DNS_1035.match(name) and len(name) <= 63


@given(KIND_NAMES, NUMBERS, st.lists(KIND_NAMES | st.just("encoder"), min_size=2, unique=True))
def test_services_of_a_release_never_share_a_name(em: str, n: int, indexes: list[str]) -> None:
    release = names.release_name(em, n)
    services = [names.encoder_name(release), *(names.index_name(release, i) for i in indexes)]
    assert len(set(services)) == len(services)


def test_an_index_called_encoder_keeps_clear_of_the_encoder() -> None:
    assert names.index_name("glyphs-r1", "encoder") != names.encoder_name("glyphs-r1")
    assert names.index_name("glyphs-r1", "encoder").startswith("glyphs-r1-encoder-")


def test_short_names_stay_readable() -> None:
    assert names.index_name("glyphs-r1", "catalogue") == "glyphs-r1-catalogue"
    assert names.job_name("glyphs-r1", JobKind.TRAIN, 1) == "glyphs-r1-train-1"
    assert names.job_name("glyphs-r1", JobKind.EVALUATE, 2) == "glyphs-r1-evaluate-2"
    assert names.job_name("glyphs-r1", JobKind.BUILD, 3, "a") == "glyphs-r1-build-a-3"
    assert names.short_name("pro-r2d2-r13") == "r13"


def test_attempts_of_a_shortened_name_stay_apart() -> None:
    release = names.release_name("m" * 30, 9_999_999)
    first = names.job_name(release, JobKind.BUILD, 1, "i" * 30)
    second = names.job_name(release, JobKind.BUILD, 2, "i" * 30)
    assert first != second and first.endswith("-1") and second.endswith("-2")
