"""What kopf calls. A handler says what was seen; `runtime` knows what to do about it."""

from __future__ import annotations

from typing import Any

import kopf

from lockstep_operator.api.kinds import WATCHED, ResourceKind
from lockstep_operator.runtime import shell
from lockstep_operator.runtime.assembly import Operator


@kopf.on.startup()
async def startup(settings: kopf.OperatorSettings, memo: Operator, **_: Any) -> None:
    shell.configure(settings)
    await memo.start()


@kopf.on.cleanup()
async def cleanup(memo: Operator, **_: Any) -> None:
    await memo.stop()


@kopf.on.login()
async def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
    return await shell.login(**kwargs)


def _watch(kind: ResourceKind) -> None:
    """Registers the handler of one kind."""

    @kopf.on.event(kind.group, kind.version, kind.plural, id=f"on_{kind.kind}")
    async def observe(event: kopf.RawEvent, memo: Operator, **_: Any) -> None:
        memo.observe(kind, event)


for watched in WATCHED:
    _watch(watched)
