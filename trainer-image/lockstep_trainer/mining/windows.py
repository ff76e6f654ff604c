"""Rules that keep every triplet of a kind: ranges of the negatives' distance.

All of them average over the triplets that violate the margin. Together `Hard` and `AllSemiHard`
are `BatchAll`.
"""

from __future__ import annotations

from dataclasses import dataclass

from lockstep_core.protocol.training import MiningStrategy


@dataclass(frozen=True)
class Window:
    """Negatives of an anchor and a positive at distance d.

    `beyond`: only those farther than d. `within_margin`: those nearer than d + margin; otherwise
    those no farther than d.
    """

    beyond: bool
    within_margin: bool


WINDOWS: dict[MiningStrategy, Window] = {
    MiningStrategy.HARD: Window(beyond=False, within_margin=False),
    MiningStrategy.ALL_SEMI_HARD: Window(beyond=True, within_margin=True),
    MiningStrategy.BATCH_ALL: Window(beyond=False, within_margin=True),
}
