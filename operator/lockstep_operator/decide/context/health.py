"""How whole a release is: the encoder, each index's servers, and their Services."""

from __future__ import annotations

from dataclasses import dataclass, field

BEING_MADE = " is being made"
# A release may carry 32 indexes: the first lines say enough.
LINES_TOLD = 6


@dataclass
class ReleaseHealth:
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

    def told(self) -> str:
        """What is lacking in one sentence, what is only being made together, not without end."""
        made = [line.removesuffix(BEING_MADE) for line in self.lacking if line.endswith(BEING_MADE)]
        lines = [line for line in self.lacking if not line.endswith(BEING_MADE)]
        if made:
            shown = ", ".join(made[:LINES_TOLD])
            more = f" and {len(made) - LINES_TOLD} more" if len(made) > LINES_TOLD else ""
            lines.append(f"{shown}{more} {'is' if len(made) == 1 else 'are'} being made")
        told = lines[:LINES_TOLD]
        if len(lines) > LINES_TOLD:
            told.append(f"and {len(lines) - LINES_TOLD} more")
        return "; ".join(told)
