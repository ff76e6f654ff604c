"""Index recall as the monitors of a release count it: do its indexes return what exact search does?

Sums of independent queries: what pods count is added up, and judged by the operator
(`lockstep_core.quality.live_recall`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from lockstep_core.protocol.base import KindName, ReleaseName, Sha256, SpaceID
from lockstep_core.protocol.monitoring import MAX_RECALL_K, Told

RECALL_PAGE = "/v1/recall"
"""GET, `?after=<window>`: closed windows with a number above it, the oldest first, and the open
one."""
MAX_RECALL_WINDOWS = 20_000
"""Of one answer: a day of windows of 64 indexes."""
RECALL_SCHEMA: Literal["lockstep.dev/recall/v1"] = "lockstep.dev/recall/v1"

_Count = Annotated[int, Field(ge=0, le=10**12)]


class RecallWindow(Told):
    """Distinct queries of one window that one index was asked, each with a recall in [0, 1].

    `sumsq` is the sum of their squares. `hits` of `expected` neighbours came, over all queries.
    """

    window: int
    index: KindName
    build: Sha256
    k: int = Field(ge=1, le=MAX_RECALL_K)
    n: _Count
    mean: float = Field(ge=0, le=1)
    sumsq: float = Field(ge=0, le=1e12)
    hits: _Count
    expected: _Count


class RecallAnswer(Told):
    """`GET /v1/recall`. `problem` says why an index is not measured now, in words."""

    schema_: Literal["lockstep.dev/recall/v1"] = Field(default=RECALL_SCHEMA, alias="schema")
    release: ReleaseName
    space: SpaceID | None = None
    window_seconds: int = Field(ge=1, le=86_400)
    open_window: int
    per_minute: int
    k: int
    indexes: list[KindName] = Field(max_length=64)
    windows: list[RecallWindow] = Field(max_length=MAX_RECALL_WINDOWS)
    open: list[RecallWindow] = Field(default_factory=list, max_length=64)
    problem: str | None = Field(default=None, max_length=1000)
