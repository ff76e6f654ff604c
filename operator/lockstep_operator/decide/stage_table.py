"""Each stage of a release once: what it means for pods, for requests, for a retry and for the spec.

A new stage is a row here and a module of its name in `stages/`, beside the word in `api.release`
that makes it part of the CRD. Rules ask for a fact (`facts_of(stage).ended`) and list no stages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from lockstep_operator.api.release import Stage
from lockstep_operator.manifests import JobKind

Retried = Literal[
    Stage.TRAINING,
    Stage.IMPORTING,
    Stage.EVALUATING,
    Stage.INDEXING,
    Stage.VERIFYING,
    Stage.WARMING,
]
"""Where a retry may enter."""


@dataclass(frozen=True, kw_only=True)
class StageFacts:
    """What holds of every release in the stage."""

    on_its_way: bool = False
    """A candidate: it has a module in `stages/`, and at most one release of a model is."""
    serves: bool = False
    """It holds the entry point, alone."""
    ended: bool = False
    """A record alone: nothing is made for it, and what it ran is deleted."""
    job: JobKind | None = None
    """The Jobs that it waits for."""
    judged: bool = True
    """Its model passed its gates, or a person let it pass them."""
    runs_pods: bool = False
    """Encoder and index servers are kept as they should be."""
    takes_pods: bool = False
    """Where capacity is shared, stable gives pods up for it."""
    beside_stable: bool = False
    """It is a canary, whatever the steps say now."""
    may_take_share: bool = False
    """It may answer a share of the requests, which an end has to bring back first."""
    shows_step: bool = False
    """The model's status shows the step of its canary."""
    switches: bool = False
    """The entry point is moving: a change of the spec waits for the end of that."""
    needs_newest_spec: bool = False
    """It does not begin for a candidate whose indexes are out of date: its model is all that is
    still wanted."""
    retry_from: Retried | None = None
    """Where a retry enters what ended here; None: there is nothing to try again.

    What is on record is not done again: `releases.verbs` clears what a retry is to redo.
    """


STAGE_TABLE: Mapping[Stage | None, StageFacts] = {
    None: StageFacts(on_its_way=True, judged=False),
    Stage.TRAINING: StageFacts(
        on_its_way=True, judged=False, job=JobKind.TRAIN, retry_from=Stage.TRAINING
    ),
    Stage.IMPORTING: StageFacts(
        on_its_way=True, judged=False, job=JobKind.IMPORT, retry_from=Stage.IMPORTING
    ),
    Stage.EVALUATING: StageFacts(
        on_its_way=True, judged=False, job=JobKind.EVALUATE, retry_from=Stage.EVALUATING
    ),
    Stage.INDEXING: StageFacts(
        on_its_way=True, job=JobKind.BUILD, needs_newest_spec=True, retry_from=Stage.INDEXING
    ),
    Stage.VERIFYING: StageFacts(on_its_way=True, retry_from=Stage.VERIFYING),
    Stage.WARMING: StageFacts(
        on_its_way=True,
        runs_pods=True,
        takes_pods=True,
        needs_newest_spec=True,
        retry_from=Stage.WARMING,
    ),
    # One that ended while it had requests must show again that its pods are ready.
    Stage.CANARY: StageFacts(
        on_its_way=True,
        runs_pods=True,
        takes_pods=True,
        beside_stable=True,
        may_take_share=True,
        shows_step=True,
        retry_from=Stage.WARMING,
    ),
    Stage.PROMOTING: StageFacts(
        on_its_way=True,
        runs_pods=True,
        takes_pods=True,
        may_take_share=True,
        shows_step=True,
        switches=True,
        retry_from=Stage.WARMING,
    ),
    Stage.ROLLING_BACK: StageFacts(
        on_its_way=True,
        runs_pods=True,
        beside_stable=True,
        may_take_share=True,
        switches=True,
        retry_from=Stage.WARMING,
    ),
    Stage.FINALIZING: StageFacts(serves=True, runs_pods=True),
    Stage.SERVING: StageFacts(serves=True, runs_pods=True),
    Stage.RETAINED: StageFacts(runs_pods=True),
    Stage.SUPERSEDED: StageFacts(ended=True),
    Stage.FAILED: StageFacts(ended=True),
    Stage.RETIRED: StageFacts(ended=True),
}
"""In the order in which a release comes to them. None: it was just created."""


def facts_of(stage: Stage | None) -> StageFacts:
    """The row of a stage."""
    return STAGE_TABLE[stage]
