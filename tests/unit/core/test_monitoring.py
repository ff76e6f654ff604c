"""What an encoder and its monitor say to one another, on the wire."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lockstep_core.protocol.monitoring import (
    HEADER_BYTES,
    Header,
    MonitorConfig,
    TapConfig,
    TrafficRole,
    model_folder,
    read_header,
    window_of,
)

pytestmark = pytest.mark.unit

DIGEST = "sha256:" + "5a" * 32
HEADER = Header(TrafficRole.QUERY, 8, 2, DIGEST, 10, 6, 1, 77)
ROWS = bytes(4 * 8 * 2)

counts = st.integers(0, 2**64 - 1)


@given(
    st.sampled_from(TrafficRole),
    st.integers(1, 300),
    st.integers(0, 20),
    st.binary(min_size=32, max_size=32),
    st.tuples(counts, counts, counts),
    st.integers(0, 2**32 - 1),
)
def test_a_header_is_read_as_it_was_written(
    role: TrafficRole,
    dimension: int,
    count: int,
    digest: bytes,
    totals: tuple[int, int, int],
    process: int,
) -> None:
    header = Header(role, dimension, count, f"sha256:{digest.hex()}", *totals, process)
    assert read_header(header.to_bytes() + bytes(4 * dimension * count)) == header


@pytest.mark.parametrize(
    ("datagram", "words"),
    [
        (b"", "of 0 bytes has no header"),
        (HEADER.to_bytes()[:-1], f"of {HEADER_BYTES - 1} bytes has no header"),
        (b"XXXX" + HEADER.to_bytes()[4:] + ROWS, "begins with b'XXXX'"),
        (HEADER.to_bytes()[:4] + b"\x02" + HEADER.to_bytes()[5:] + ROWS, "of role 2"),
        (HEADER.to_bytes() + ROWS[:-1], "does not hold 2 rows of 8 numbers"),
        (HEADER.to_bytes() + ROWS + b"\0", "does not hold 2 rows of 8 numbers"),
        (
            dataclasses.replace(HEADER, dimension=2**32 - 1, count=2**32 - 1).to_bytes() + ROWS,
            "does not hold 4294967295 rows",
        ),
    ],
)
def test_what_is_no_datagram_of_ours_is_refused(datagram: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_header(datagram)


@given(st.binary(max_size=300))
def test_bytes_of_any_kind_are_a_header_or_a_refusal(datagram: bytes) -> None:
    try:
        header = read_header(datagram)
    except ValueError:
        return
    assert header.to_bytes() == datagram[:HEADER_BYTES] or datagram[5:8] != b"\0\0\0"


def test_windows_are_counted_from_the_epoch_so_that_pods_agree() -> None:
    assert window_of(0, 300) == 0
    assert window_of(299.999, 300) == 0
    assert window_of(300, 300) == 1
    assert window_of(1_800_000_123.4, 300) == 6_000_000


def test_the_folder_of_features_is_named_by_their_digest() -> None:
    assert model_folder(DIGEST) == "model/5a5a5a5a5a5a"


@pytest.mark.parametrize("value", [0, 1001])
def test_a_budget_out_of_its_bounds_is_refused(value: int) -> None:
    with pytest.raises(ValidationError, match="maxPerSecond"):
        TapConfig.model_validate({"maxPerSecond": value})


@pytest.mark.parametrize("value", [9, 3601])
def test_a_window_out_of_its_bounds_is_refused(value: int) -> None:
    with pytest.raises(ValidationError, match="windowSeconds"):
        MonitorConfig.model_validate(
            {"model": "m", "release": "m-r1", "namespace": "n", "windowSeconds": value}
        )
