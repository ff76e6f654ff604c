"""Scenarios of drift: what is seen, and what is not taken for drift."""

from __future__ import annotations

import time

import numpy as np

from tests.e2e.support.load import Part
from tests.e2e.support.models import Defect
from tests.reliability.scenario import Story, scenario
from tests.reliability.watched import (
    BASELINE_WINDOWS,
    PATIENCE_SECONDS,
    WINDOW_SECONDS,
    forget,
    learned,
    stays_quiet,
    stored,
    until_state,
    watch,
    windows_since,
)

SEEN_WITHIN, ENDED_WITHIN = 3, 8
QUIET_WINDOWS = 6
# Windows in a row outside of the band, the one in which it began, and the one that is looked at.
COLLAPSE_WITHIN = 6
GROUPS, CONCENTRATION = 6, 5.0
REPEATED_SHARE = 0.3


def usual(story: Story) -> Part:
    return (0, story.ground.drawings, 1.0)


def negatives(story: Story, weight: float = 1.0) -> Part:
    """Light on dark, as a client in dark mode would send."""
    return (story.ground.drawings, 2 * story.ground.drawings, weight)


def mixed(story: Story, rng: np.random.Generator) -> list[Part]:
    """Every group of characters has a share that is drawn anew (Dirichlet)."""
    edges = np.linspace(0, story.ground.drawings, GROUPS + 1).astype(int).tolist()
    shares = rng.dirichlet([CONCENTRATION] * GROUPS).tolist()
    return list(zip(edges, edges[1:], shares, strict=False))


@scenario("drift: other drawings are seen, and the end of it", on="watched")
def shift(story: Story) -> None:
    learned(story)
    begun = time.time()
    story.load.draw_from(negatives(story))
    shown = until_state(story, "Drifting")
    line = str(shown["message"])
    story.numbers["windowsToDrifting"] = windows_since(begun)
    assert "DRIFT" in line, line
    assert windows_since(begun) <= SEEN_WITHIN, story.numbers
    begun = time.time()
    story.load.draw_from(usual(story))
    until_state(story, "Quiet")
    story.numbers["windowsToQuiet"] = windows_since(begun)
    assert windows_since(begun) <= ENDED_WITHIN, story.numbers
    story.outcome, story.line = "Drifting, then Quiet", line


@scenario("drift: a mix that goes to and fro is none", on="watched")
def wobble(story: Story) -> None:
    rng, name = np.random.default_rng(0), "wobble"

    def stir() -> None:
        story.load.draw_from(*mixed(story, rng))

    watch(story, name, baselineWindows=2 * BASELINE_WINDOWS)
    deadline = time.monotonic() + PATIENCE_SECONDS + BASELINE_WINDOWS * WINDOW_SECONDS
    while not _has_learned(story, name):
        assert time.monotonic() < deadline, "not learned"
        stir()
        time.sleep(WINDOW_SECONDS)
    stays_quiet(story, QUIET_WINDOWS, name, stir)
    story.outcome = "Quiet"
    forget(story, name)


def _has_learned(story: Story, name: str) -> bool:
    state = stored(story, name)
    return bool(state and state["roles"] and state["roles"][0].get("evidence"))


@scenario("drift: one search that is repeated is none", on="watched")
def repeated(story: Story) -> None:
    learned(story)
    story.load.draw_from((0, story.ground.drawings, 1 - REPEATED_SHARE), (0, 1, REPEATED_SHARE))
    stays_quiet(story, QUIET_WINDOWS, "traffic", lambda: None)
    story.outcome = "Quiet"


@scenario("drift: an encoder whose embeddings collapse", on="watched")
def collapse(story: Story) -> None:
    """Its artifact knows how its embeddings lay when they were measured; how far they are now is
    not asked."""
    ground, name = story.ground, "shape"
    watch(story, name, baseline="HeldOut", tolerance="1.4")
    until_state(story, "Quiet", name=name)
    number = ground.release_next(Defect.COLLAPSING)
    ground.until_serves(number)
    begun = time.time()
    shown = until_state(story, "Drifting", name=name)
    story.numbers["windowsToDrifting"] = windows_since(begun)
    line = str(shown["message"])
    assert "meanCosine" in line and "outside of" in line, line
    assert "DRIFT" not in line, line
    assert windows_since(begun) <= COLLAPSE_WITHIN, story.numbers
    story.outcome, story.line = f"r{number} Drifting by its shape", line
    forget(story, name)
    ground.until_serves(ground.release_next())
