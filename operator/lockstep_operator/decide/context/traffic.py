"""Who should answer users, and what was read back of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Traffic:
    """Who should answer: `holder` all requests but `weight` percent, which `candidate` answers.

    `mirror` percent of the requests are copied to the candidate. Names are those of releases.
    """

    holder: str
    candidate: str | None = None
    weight: int = 0
    mirror: int = 0


@dataclass(frozen=True)
class Routed:
    """What was read back. `holds`: the traffic is what was asked for.

    `achieved`: the percent that the candidate answers now. `missing`: what is not as asked, in
    words that do not change from one look to the next while the same thing is missing.
    """

    holds: bool
    achieved: int
    missing: str = ""
