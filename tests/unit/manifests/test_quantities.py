"""Quantities in the API server's form. The cluster tests compare with a real one."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lockstep_operator.api.pods import Resources
from lockstep_operator.manifests.pods import resources
from lockstep_operator.manifests.quantities import amount, canonical, canonical_all

pytestmark = pytest.mark.unit

CASES = {
    "1000m": "1",
    "0.5": "500m",
    "2": "2",
    "2.0": "2",
    "1500m": "1500m",
    "1024Mi": "1Gi",
    "1536Mi": "1536Mi",
    "1.5Gi": "1536Mi",
    "3072Mi": "3Gi",
    "0.5Ki": "512",
    "1024": "1024",
    "1000": "1k",
    "1000M": "1G",
    "1.5G": "1500M",
    "0": "0",
    "0Mi": "0",
    "1000T": "1P",
    "1024Ti": "1Pi",
    "0.1Ki": "102400m",
    "0.000000001": "1m",
    "12.5m": "13m",
    "1Pi": "1Pi",
    "2048Ti": "2Pi",
    "1P": "1P",
    "1E": "1E",
    "1Ei": "1Ei",
    "2.": "2",
    ".5": "500m",
    "+1": "1",
    "5u": "1m",
    "5n": "1m",
    "99Ei": "9223372036854775807",
}
# An exponent is stored as it is written; a suffix says the same, and is stored as well.
EXPONENTS = {"2e9": "2G", "1E3": "1k", "12e2": "1200", "1.5e-1": "150m", "9e99": str(2**63 - 1)}


@pytest.mark.parametrize(("written", "stored"), (CASES | EXPONENTS).items())
def test_canonical_forms(written: str, stored: str) -> None:
    assert canonical(written) == stored


@given(
    st.integers(min_value=0, max_value=10**6),
    st.integers(min_value=0, max_value=999),
    st.sampled_from([*"nmkMGTPE", "", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "e3", "E-2", "e+06"]),
)
def test_canonical_is_a_fixed_point_of_the_same_value(
    whole: int, thousandths: int, suffix: str
) -> None:
    written = f"{whole}.{thousandths:03d}{suffix}"
    stored = canonical(written)
    assert canonical(stored) == stored
    assert "." not in stored


def test_unknown_text_names_the_value() -> None:
    with pytest.raises(ValueError, match="`4 GB` must be a quantity"):
        canonical("4 GB")
    with pytest.raises(ValueError, match="`-1` must be a quantity"):
        canonical("-1")


@pytest.mark.parametrize("written", [1, "1", *CASES, *EXPONENTS])
def test_from_a_spec_to_a_pod_and_back_the_amount_stays(written: int | str) -> None:
    spec = {"requests": {"cpu": written}, "limits": {"cpu": written}}
    read = Resources.model_validate(spec)
    assert Resources.model_validate(read.to_wire()) == read
    pod = resources(read, {})
    assert pod["requests"]["cpu"] == canonical(str(written))
    assert canonical(pod["requests"]["cpu"]) == pod["requests"]["cpu"]


@pytest.mark.parametrize("written", ["two", "1 G", "-1", "", "1.2.3", "1ee3", "1e999", True, 1.5])
def test_what_is_no_quantity_is_refused(written: object) -> None:
    with pytest.raises(ValidationError):
        Resources.model_validate({"limits": {"cpu": written}})


def test_all_are_sorted() -> None:
    found = canonical_all({"memory": "1024Mi", "cpu": "1000m"})
    assert list(found.items()) == [("cpu", "1"), ("memory", "1Gi")]
    assert Fraction(found["cpu"]) == 1


@pytest.mark.parametrize(
    ("quantity", "number"),
    [
        ("-1.5", Fraction(-3, 2)),
        (".5", Fraction(1, 2)),
        ("2e3", Fraction(2000)),
        ("5n", Fraction(5, 10**9)),
        ("1Ei", Fraction(2**60)),
        ("1.2.3", None),
        ("ten", None),
        ("", None),
    ],
)
def test_the_number_of_any_quantity_of_kubernetes(quantity: str, number: Fraction | None) -> None:
    assert amount(quantity) == number
