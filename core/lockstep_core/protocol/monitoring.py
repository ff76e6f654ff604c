"""What an encoder, the monitor beside it and the operator say to one another.

An encoder hands a sample of its embeddings to the monitor of its pod, in datagrams through a folder
that both mount. The monitor sums them up by window of time, and the operator reads the sums. What a
window's sum is stands in `lockstep_core.drift`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints

from lockstep_core.protocol.base import Contract, KindName, ReleaseName, Sha256, SpaceID

MONITOR_DIRECTORY = "/run/lockstep"
"""Where the folder that encoder and monitor share is mounted in both."""
SOCKET_NAME = "monitor.sock"
HANDOVER_NAME = "model.json"
"""What the encoder serves: `Handover`, JSON."""
MODEL_FOLDER = "model"
MAX_HANDOVER_BYTES = 24 * 1024 * 1024
"""Of the files that the encoder leaves in the folder, which the kubelet bounds: a pod that exceeds
it is evicted. 1024 features of 12,000 numbers take it."""

FEATURES_PATH = "drift/features.safetensors"
"""In a model artifact: what embeddings are summed up with."""
BASELINE_PATH = "drift/baseline.json"
"""In a model artifact: the held-out embeddings, summed up so. Absent where there were too few."""

DEFAULT_MAX_PER_SECOND = 50
DEFAULT_WINDOW_SECONDS = 300
KEPT_WINDOWS = 288
"""Closed windows that a monitor keeps: a day of windows of 5 minutes."""
DEFAULT_RECALL_PER_MINUTE, DEFAULT_RECALL_K = 60, 10
"""Live queries that a pod asks its release's indexes once more, exactly, and how many neighbours of
each are compared."""
MAX_RECALL_PER_MINUTE, MAX_RECALL_K = 600, 100
MAX_ANSWERED_WINDOWS = 16
"""Windows of one answer of `SKETCH_PAGE`."""
MAX_BETS = 8
MAX_BETS_BYTES = 1024 * 1024
"""Of the body of a PUT: 8 witnesses of 16,384 features take 700 KiB in base64."""

SKETCH_PAGE = "/v1/sketch"
"""GET, `?after=<window>`: closed windows with a number above it, the oldest first."""
BASELINE_PAGE = "/v1/baseline"
BETS_PAGE = "/v1/bets"
REPORT_PAGE = "/v1/report"

NO_FEATURES = (
    "this artifact was made before monitoring: train or export it again, and its embeddings can be"
    " watched"
)

SKETCHES_SCHEMA: Literal["lockstep.dev/sketches/v1"] = "lockstep.dev/sketches/v1"


class TrafficRole(StrEnum):
    """What an embedding was made for: a search, or a client that asked for embeddings."""

    QUERY = "Query"
    EMBEDDING = "Embedding"


class _RoleCode(IntEnum):
    Query = 0
    Embedding = 1


class Told(Contract):
    """What a program is told beside its config. Images are frozen in releases, so a field that
    comes later is passed over by those that do not know it: they serve on, and watch as before."""

    model_config = ConfigDict(extra="ignore")


class TapConfig(Told):
    """`LOCKSTEP_MONITOR` of an encoder: where its samples go, and how many they may be."""

    directory: Annotated[str, StringConstraints(min_length=1, max_length=80)] = MONITOR_DIRECTORY
    max_per_second: int = Field(default=DEFAULT_MAX_PER_SECOND, ge=1, le=1000)


class RecallIndex(Told):
    """An index of the release, and the build that its servers must answer from."""

    name: KindName
    url: str
    build_digest: Sha256
    space_id: SpaceID = Field(alias="spaceID")


class RecallConfig(Told):
    """Which indexes a monitor asks, how often (`per_minute` queries for all of them together; 0:
    never), and for how many neighbours."""

    per_minute: int = Field(default=DEFAULT_RECALL_PER_MINUTE, ge=0, le=MAX_RECALL_PER_MINUTE)
    k: int = Field(default=DEFAULT_RECALL_K, ge=1, le=MAX_RECALL_K)
    indexes: tuple[RecallIndex, ...] = Field(default=(), max_length=64)


class MonitorConfig(Told):
    """`LOCKSTEP_MONITOR` of a monitor. `recall` is left out by operators of before it."""

    model: KindName
    release: ReleaseName
    namespace: Annotated[str, StringConstraints(min_length=1, max_length=63)]
    directory: Annotated[str, StringConstraints(min_length=1, max_length=80)] = MONITOR_DIRECTORY
    window_seconds: int = Field(default=DEFAULT_WINDOW_SECONDS, ge=10, le=3600)
    recall: RecallConfig | None = None


class Handover(Told):
    """What the encoder of the pod serves, once its artifact is verified.

    `features_digest` is the identity of its features (`lockstep_core.drift.features`), and names
    the folder that holds them (`model_folder`). None: it cannot be watched, as `problem` says.
    `unit_norm`: its embeddings have length 1, so that others are invalid.
    """

    space_id: SpaceID = Field(alias="spaceID")
    artifact_digest: Sha256
    dimension: int = Field(ge=1, le=65536)
    unit_norm: bool = True
    features_digest: Sha256 | None = None
    problem: str | None = None


class BetsRequest(Contract):
    """`PUT /v1/bets`: replaces all bets, each from its own window on, and at the earliest from the
    next. A bet is as `lockstep_core.drift.bet_wire` writes it."""

    features_digest: Sha256
    bets: list[dict[str, Any]] = Field(max_length=MAX_BETS)


class SketchesAnswer(Contract):
    """`GET /v1/sketch`. `open_window` is the one that is being filled, and is not among them.

    A sketch is as `lockstep_core.drift.sketch_wire` writes it: one for each window and role.
    """

    schema_: Literal["lockstep.dev/sketches/v1"] = Field(default=SKETCHES_SCHEMA, alias="schema")
    release: ReleaseName
    space: SpaceID | None = None
    features_digest: Sha256 | None = None
    window_seconds: int
    open_window: int
    sketches: list[dict[str, Any]] = Field(max_length=2 * MAX_ANSWERED_WINDOWS)


def model_folder(features_digest: Sha256) -> str:
    """Below the shared folder: where the encoder leaves the files of these features."""
    return f"{MODEL_FOLDER}/{features_digest.removeprefix('sha256:')[:12]}"


def window_of(unix_seconds: float, window_seconds: int) -> int:
    """The number of the window that holds this time: the same in every pod."""
    return int(unix_seconds // window_seconds)


_MAGIC = b"LSD1"
_HEADER = struct.Struct("<4sBxxxII32sQQQI")
HEADER_BYTES = _HEADER.size
MAX_DATAGRAM_BYTES = 128 * 1024
"""More than Linux holds back of one socket's (212992) would never be sent. Rows of 32767 numbers
or more do not fit, and are not watched."""


@dataclass(frozen=True)
class Header:
    """What stands before the rows of a datagram: `count` rows of `dimension` float32.

    `observed`, `sampled` and `dropped` count embeddings of this role since the encoder's process
    `process` began: all, those that were chosen, with those that are yet to be sent, and those of
    them that were not delivered.
    """

    role: TrafficRole
    dimension: int
    count: int
    features_digest: Sha256
    observed: int
    sampled: int
    dropped: int
    process: int

    def to_bytes(self) -> bytes:
        """The header on the wire, little-endian."""
        return _HEADER.pack(
            _MAGIC,
            _RoleCode[self.role.value],
            self.dimension,
            self.count,
            bytes.fromhex(self.features_digest.removeprefix("sha256:")),
            self.observed,
            self.sampled,
            self.dropped,
            self.process,
        )


def read_header(datagram: bytes | memoryview) -> Header:
    """The header of a datagram whose length fits it.

    Raises ValueError, with what is wrong, for anything else.
    """
    if len(datagram) < HEADER_BYTES:
        raise ValueError(f"a datagram of {len(datagram)} bytes has no header")
    magic, role, dimension, count, digest, *totals = _HEADER.unpack_from(datagram)
    if magic != _MAGIC:
        raise ValueError(f"a datagram begins with {magic!r}, not with {_MAGIC!r}")
    if role not in _RoleCode.__members__.values():
        raise ValueError(f"a datagram is of role {role}, which there is none of")
    if len(datagram) != HEADER_BYTES + 4 * dimension * count:
        raise ValueError(
            f"a datagram of {len(datagram)} bytes does not hold {count} rows of {dimension} numbers"
        )
    observed, sampled, dropped, process = totals
    return Header(
        TrafficRole(_RoleCode(role).name),
        dimension,
        count,
        f"sha256:{digest.hex()}",
        observed,
        sampled,
        dropped,
        process,
    )
