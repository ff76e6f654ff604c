"""How far one pass takes a release: its stage returns a transition, which is carried out.

The function of a stage has the stage's name, in the module of that name: `stages/training.py:
training`. `begin` is that of a release which was just made.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.transitions import Transition
from lockstep_operator.decide.stage_table import STAGE_TABLE, facts_of
from lockstep_operator.decide.stages.apply import apply

Look = Callable[[ReconcileContext, Release], Transition]


def _look_of(stage: Stage | None) -> Look:
    name = "begin" if stage is None else stage.name.lower()
    module = import_module(f"{__package__}.{name}")
    look: Look = getattr(module, name)
    return look


STAGES: dict[Stage | None, Look] = {
    stage: _look_of(stage)
    for stage, facts in STAGE_TABLE.items()
    if facts.on_its_way or facts.serves
}


def look_at(context: ReconcileContext, name: str) -> None:
    """One look at one release, by its stage."""
    release = context.release(name)
    apply(context, name, STAGES[release.status.stage](context, release))


def advance(context: ReconcileContext, name: str, *, begins_work: bool = True) -> None:
    """Takes an unfinished release through as many stages as its facts allow in this pass.

    Stages that need no work of others cost no pass of their own. Without `begins_work` the release
    enters a stage that needs the newest spec, and does nothing there. A stage is worked on at most
    once in a pass, so this ends.
    """
    seen: set[Stage | None] = set()
    while True:
        release = context.release(name)
        stage = release.status.stage
        facts = facts_of(stage)
        if not facts.on_its_way or stage in seen:
            return
        if seen and facts.needs_newest_spec and not begins_work:
            context.not_begun.add(name)
            return
        seen.add(stage)
        look_at(context, name)
        if context.release(name).status.stage is stage:
            return
