"""What kopf calls. A handler says what was seen; `runtime` knows what to do about it."""

from __future__ import annotations

from typing import Any

import kopf

from lockstep_core.protocol.labels import GROUP
from lockstep_operator.api.objects import VERSION
from lockstep_operator.runtime import resources, shell
from lockstep_operator.runtime.assembly import Operator


@kopf.on.startup()
async def startup(settings: kopf.OperatorSettings, memo: Operator, **_: Any) -> None:
    shell.configure(settings)
    await memo.start()


@kopf.on.cleanup()
async def cleanup(memo: Operator, **_: Any) -> None:
    await memo.stop()


@kopf.on.login()
def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
    return shell.login(**kwargs)


@kopf.on.event(GROUP, VERSION, resources.EMBEDDING_MODEL.plural)
async def on_model(event: kopf.RawEvent, memo: Operator, **_: Any) -> None:
    memo.observe(resources.EMBEDDING_MODEL, event)


@kopf.on.event(GROUP, VERSION, resources.VECTOR_INDEX.plural)
async def on_index(event: kopf.RawEvent, memo: Operator, **_: Any) -> None:
    memo.observe(resources.VECTOR_INDEX, event)


@kopf.on.event(GROUP, VERSION, resources.EMBEDDING_RELEASE.plural)
async def on_release(event: kopf.RawEvent, memo: Operator, **_: Any) -> None:
    memo.observe(resources.EMBEDDING_RELEASE, event)


@kopf.on.event("batch", "v1", resources.JOB.plural)
async def on_job(event: kopf.RawEvent, memo: Operator, **_: Any) -> None:
    memo.observe(resources.JOB, event)


@kopf.on.event("", "v1", resources.POD.plural)
async def on_pod(event: kopf.RawEvent, memo: Operator, **_: Any) -> None:
    memo.observe(resources.POD, event)


@kopf.on.event("apps", "v1", resources.DEPLOYMENT.plural)
async def on_deployment(event: kopf.RawEvent, memo: Operator, **_: Any) -> None:
    memo.observe(resources.DEPLOYMENT, event)


@kopf.on.event("autoscaling", "v2", resources.AUTOSCALER.plural)
async def on_autoscaler(event: kopf.RawEvent, memo: Operator, **_: Any) -> None:
    memo.observe(resources.AUTOSCALER, event)


@kopf.on.event("", "v1", resources.SERVICE.plural)
async def on_service(event: kopf.RawEvent, memo: Operator, **_: Any) -> None:
    memo.observe(resources.SERVICE, event)
