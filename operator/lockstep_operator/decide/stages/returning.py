"""The way back to a kept release: begun by a person, by the spec or by its successor's gates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.stored import wanted_check
from lockstep_operator.decide.context.transitions import Enter
from lockstep_operator.decide.stages.apply import apply
from lockstep_operator.decide.traffic.traffic import selected_release


def return_to(context: ReconcileContext, kept: Release) -> None:
    """Starts the switch to a kept release; its stage does the rest."""
    apply(context, kept.name, takes_over(wanted_check(context, kept)))


def stop_return(context: ReconcileContext, kept: Release) -> bool:
    """Ends the way back to a kept release; False once that has the entry point."""
    if selected_release(context) == kept.name:
        return False
    apply(context, kept.name, keeps_its_place(kept))
    return True


def keeps_its_place(kept: Release) -> Enter[Literal[Stage.RETAINED]]:
    """A release that had served is kept on, from when it was replaced."""
    return Enter(Stage.RETAINED, {"finished_at": kept.status.finished_at})


def takes_over(check: Mapping[str, object]) -> Enter[Literal[Stage.PROMOTING]]:
    """It gets the entry point back, if it is ready. Its stored files are read beside that: pods
    that are ready hold verified copies, and users wait."""
    return Enter(Stage.PROMOTING, check)
