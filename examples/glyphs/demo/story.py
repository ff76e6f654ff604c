"""What the demo tells: four releases, three by a small change of the spec, one by drift. Pure data.

The demo may be started at any moment of an earlier run: where it goes on is read from the cluster.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lockstep_kubectl.api import Object

STAGES = (
    *("Training", "Evaluating", "Indexing", "Verifying", "Warming"),
    *("Canary", "Promoting", "Finalizing", "Serving"),
)
SERVES = "Serving"
ENDED_OTHERWISE = ("Failed", "Superseded", "Retained", "Retired")


@dataclass(frozen=True)
class Act:
    """One release. `training` is what its spec changes: None for the first one, which is applied
    whole, and for one that drift asks for. `stages` is the way that it is expected to go."""

    number: int
    title: str
    training: dict[str, Any] | None
    stages: tuple[str, ...]
    is_bad: bool = False
    by_drift: bool = False

    @property
    def name(self) -> str:
        return f"r{self.number}"

    @property
    def patch(self) -> str:
        """The merge patch that asks for it, as JSON."""
        return json.dumps({"spec": {"training": self.training}}, separators=(",", ":"))


FIRST = Act(
    number=1,
    title="Release 1: a model, and the index of all drawings",
    training=None,
    stages=tuple(stage for stage in STAGES if stage != "Canary"),
)
CANARY = Act(
    number=2,
    title="Release 2: embeddings of 96 numbers instead of 64, let in step by step",
    training={"encoder": {"dimension": 96}},
    stages=STAGES,
)
# Batch-hard mining at a tenth of the learning rate pulls all characters into one place. Ten steps
# leave it on the way there: the trainer itself refuses what has arrived, before any gate.
COLLAPSE = Act(
    number=3,
    title="Release 3: trained to collapse",
    training={
        "mining": {"strategy": "BatchHard"},
        "optimizer": {"learningRate": "0.0004"},
        "budget": {"maxSteps": 10},
    },
    stages=("Training", "Evaluating", "Failed"),
    is_bad=True,
)
LEARN = Act(
    number=4,
    title="Release 4: trained on what visitors draw now, as drift asked for",
    training=None,
    stages=STAGES,
    by_drift=True,
)
ACTS = (FIRST, CANARY, COLLAPSE, LEARN)

# Asks again for what release 2 is: nothing is trained, for it serves.
WAY_OUT = json.dumps(
    {
        "spec": {
            "training": {
                "mining": {"strategy": "SemiHard"},
                "optimizer": {"learningRate": None},
                "budget": {"maxSteps": 400},
            }
        }
    },
    separators=(",", ":"),
)


def acts_left(model: Object | None, releases: Sequence[Object], last: int) -> tuple[Act, ...]:
    """The acts up to release `last` that are still to be shown, the one under way included.

    None when all were, and when someone took the model elsewhere: then it is not the demo's to
    change.
    """
    status = (model or {}).get("status") or {}
    newest = max((int(release["spec"]["number"]) for release in releases), default=0)
    if newest == 0:
        return ACTS[:last]
    under_way = (status.get("candidate") or {}).get("release") == _name(releases, newest)
    stable = (status.get("stable") or {}).get("release")
    serves = stable == _name(releases, newest)
    if newest == COLLAPSE.number and not under_way and stable == _name(releases, CANARY.number):
        return ACTS[newest:last]
    if not (under_way or serves):
        return ()
    # The first release is no candidate of anything until it serves, yet it may be on its way.
    is_done = serves and not under_way
    return ACTS[newest if is_done else newest - 1 : last]


def is_asked_for(act: Act, releases: Sequence[Object]) -> bool:
    """Whether the release of the act was made already."""
    return any(release["spec"]["number"] >= act.number for release in releases)


def stage_of(act: Act, model: Object, releases: Sequence[Object]) -> str:
    """The stage of the act's release, as the model's status has it where it points at it.

    The records are read later than the model: its pointers fit its message. Pending until there is
    a release.
    """
    record = next((r for r in releases if r["spec"]["number"] == act.number), None)
    if record is None:
        return "Pending"
    status = model.get("status") or {}
    for pointer in (status.get("candidate") or {}, status.get("stable") or {}):
        if pointer.get("release") == record["metadata"]["name"] and pointer.get("stage"):
            return str(pointer["stage"])
    return str((record.get("status") or {}).get("stage") or "Pending")


def is_over(act: Act, model: Object, releases: Sequence[Object]) -> bool:
    """Whether the act's release has ended, and the model's status tells so."""
    status, stage = model.get("status") or {}, stage_of(act, model, releases)
    if status.get("observedGeneration") != model["metadata"].get("generation"):
        return False
    if stage == SERVES:
        return status.get("phase") == "Healthy"
    return stage in ENDED_OTHERWISE and status.get("phase") != "Progressing"


def _name(releases: Sequence[Object], number: int) -> str:
    names = (str(r["metadata"]["name"]) for r in releases if r["spec"]["number"] == number)
    return next(names, "")
