"""A toy stage: a release rests a minute between Verifying and Warming."""

from tests.unit.additions.edits import Addition, NewFile, after, instead

VERIFYING = "operator/lockstep_operator/decide/stages/verifying.py"
NEIGHBOUR = "operator/lockstep_operator/decide/stages/<the one before>.py"
PAGE = "docs/release-machine.md"

ADDITION = Addition(
    what="a stage",
    changes=(
        after(
            "operator/lockstep_operator/decide/stage_table.py",
            "    Stage.VERIFYING: StageFacts(on_its_way=True, retry_from=Stage.VERIFYING),",
            "    Stage.RESTING: StageFacts(on_its_way=True, retry_from=Stage.WARMING),",
        ),
        NewFile(
            "operator/lockstep_operator/decide/stages/resting.py",
            '''
"""Resting: a minute for whoever looks at the builds before pods start."""

from __future__ import annotations

from typing import Literal

from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Stage
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.pauses import forward
from lockstep_operator.decide.context.transitions import Enter, Stay, stay
from lockstep_operator.decide.vocabulary import clock

SECONDS = 60.0


def resting(context: ReconcileContext, release: Release) -> Stay | Enter[Literal[Stage.WARMING]]:
    since = release.status.stage_started_at or context.now
    left = SECONDS - clock.seconds_since(since, context.snapshot.now)
    if left > 0:
        context.wake_in(left)
        return stay(Stage.RESTING, "rests a minute")
    return forward(context, release.name, Stage.WARMING)
''',
            named="operator/lockstep_operator/decide/stages/<stage>.py",
        ),
        instead(
            PAGE,
            "| Verifying | Warming, Failed | `stages/verifying.py:verifying` |",
            """
| Verifying | Resting, Failed | `stages/verifying.py:verifying` |
| Resting | Warming | `stages/resting.py:resting` |
""",
        ),
    ),
    beside=(
        after(
            "operator/lockstep_operator/api/release.py",
            '    VERIFYING = "Verifying"',
            '    RESTING = "Resting"',
        ),
        instead(
            VERIFYING,
            ") -> Stay | Enter[Literal[Stage.WARMING]] | Fail:",
            ") -> Stay | Enter[Literal[Stage.RESTING]] | Fail:",
            named=NEIGHBOUR,
        ),
        instead(
            VERIFYING,
            "    return forward(context, release.name, Stage.WARMING)",
            "    return forward(context, release.name, Stage.RESTING)",
            named=NEIGHBOUR,
        ),
    ),
)
