"""The life of the process: probes, standby, leadership, kopf, release of the Lease, exit code."""

from __future__ import annotations

import asyncio
import logging
import signal
import uuid

import kopf

from lockstep_operator.runtime import termination
from lockstep_operator.runtime.assembly import Operator
from lockstep_operator.runtime.config import Config
from lockstep_operator.runtime.health import HealthServer
from lockstep_operator.runtime.heartbeat import Heartbeat
from lockstep_operator.runtime.leader import Leader, LeaseTimes

# The leader's thread turns 20 times a second; the main loop four times.
STALLED_SECONDS = 30.0
RELEASE_SECONDS = 5.0

logger = logging.getLogger(__name__)


def run(config: Config, registry: kopf.OperatorRegistry) -> int:
    """Runs until SIGTERM (0) or until the watching fails (1). A lost Lease exits at once (1).

    What ends it with 1 is its termination message.
    """
    heartbeat = Heartbeat()
    leader = Leader(
        namespace=config.pod_namespace,
        name=config.lease_name,
        # Unique per process: a restarted container must not take its previous identity for itself.
        identity=f"{config.pod_name}_{uuid.uuid4().hex[:8]}",
        times=LeaseTimes(config.lease_seconds),
        heartbeat=heartbeat,
    )
    operator = Operator(config, leader, heartbeat)
    HealthServer(
        port=config.health_port,
        healthy=lambda: _stalled(leader, heartbeat),
        ready=lambda: _not_ready(leader, operator),
    ).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: leader.stop())
    leader.start()
    if not leader.wait_until_leading():
        return 0 if leader.failure is None else _failed("leader election failed", leader.failure)
    code = 0
    try:
        asyncio.run(_watch(config, registry, operator))
    except asyncio.CancelledError:
        logger.info("stopped before everything was listed")
    except Exception as error:
        logger.exception("watching failed")
        code = _failed("watching failed", error)
    leader.stop()
    leader.join(RELEASE_SECONDS)
    return code


def _failed(what: str, error: Exception) -> int:
    termination.write(f"{what}: {type(error).__name__}: {error}")
    return termination.FAILED


async def _watch(config: Config, registry: kopf.OperatorRegistry, operator: Operator) -> None:
    await kopf.operator(
        registry=registry,
        memo=operator,
        standalone=True,
        # Left to itself kopf asks for the user's name, which an arbitrary uid does not have.
        identity=config.pod_name,  # type: ignore[arg-type]
        clusterwide=not config.namespaces,
        namespaces=config.namespaces,
    )


def _stalled(leader: Leader, heartbeat: Heartbeat) -> str | None:
    if leader.age() > STALLED_SECONDS:
        return f"leader election stands still for {leader.age():.0f} s"
    if heartbeat.age() > STALLED_SECONDS:
        return f"the main loop stands still for {heartbeat.age():.0f} s"
    return None


def _not_ready(leader: Leader, operator: Operator) -> str | None:
    """A standby is ready: it can take over. A leader is once it has listed everything."""
    return "listing" if leader.leads and not operator.synced else None
