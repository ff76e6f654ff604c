"""How whole a release is: the encoder, each index's servers, and their Services."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Pair:
    """The state of a release's children. `ready` of `wanted` pods are the encoder's.

    `whole`: all are as they should be, with all replicas ready. `serving`: at least one encoder
    and one server of each index answer. `rolling`: some are on their way to another template.
    """

    whole: bool = True
    serving: bool = True
    rolling: bool = False
    ready: int = 0
    wanted: int = 0
    lacking: list[str] = field(default_factory=list)
    conflict: str | None = None

    def lacks(self, what: str) -> None:
        self.whole = False
        self.lacking.append(what)
