"""One leader by a coordination.k8s.io Lease, renewed in a thread of its own.

Not `kubernetes.aio.leaderelection`: it does not release the Lease on exit (a hand-over would wait
the whole duration), its calls have no timeout, and its renewals would stand or fall with the loop
that runs them. Here a busy main loop cannot starve the renewal, a stalled one cannot live on it
(the heartbeat is checked before each renewal), and losing the Lease ends the process at once.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from lockstep_operator.api.kinds import LEASE
from lockstep_operator.api.objects import Object
from lockstep_operator.runtime import metrics, termination
from lockstep_operator.runtime.client import Api, connect
from lockstep_operator.runtime.errors import AlreadyExists, ApiError, Conflict, NotFound, NotLeading
from lockstep_operator.runtime.heartbeat import Heartbeat

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LeaseTimes:
    """Seconds. client-go's 15/10/2 in proportion, and a poll that makes hand-overs quick."""

    duration: float = 15.0

    @property
    def renew_deadline(self) -> float:
        """Without a renewal for so long the leader gives up, before anyone may take over."""
        return self.duration * 2 / 3

    @property
    def renew_every(self) -> float:
        return self.duration * 2 / 15

    @property
    def write_window(self) -> float:
        """Writes leave only so soon after a renewal: with `write_timeout` they end in time."""
        return self.duration / 3

    @property
    def write_timeout(self) -> float:
        return self.duration * 2 / 3

    @property
    def poll_every(self) -> float:
        """A standby looks so often whether the Lease was released."""
        return min(1.0, self.renew_every)


def exit_at_once(why: str) -> NoReturn:
    """Ends the process without cleanup: anything that still ran might still write.

    The reason is the last line of the log and the container's termination message.
    """
    logger.critical("no longer the leader: exit", extra={"why": why})
    termination.write(f"no longer the leader: {why}")
    logging.shutdown()
    os._exit(termination.FAILED)


def _stacks() -> str:
    """Where each thread stands: of a main loop that does not turn, what holds it."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return "\n".join(
        f"{names.get(ident, ident)}:\n{''.join(traceback.format_stack(frame))}"
        for ident, frame in sys._current_frames().items()
    )


class Leader(threading.Thread):
    """Acquires the Lease, renews it, and gives it back."""

    def __init__(
        self,
        *,
        namespace: str,
        name: str,
        identity: str,
        times: LeaseTimes,
        heartbeat: Heartbeat,
        on_lost: Callable[[str], object] = exit_at_once,
    ) -> None:
        super().__init__(name="leader", daemon=True)
        self._namespace = namespace
        self._lease_name = name
        self._identity = identity
        self._times = times
        self._heartbeat = heartbeat
        self._on_lost = on_lost
        self._decided = threading.Event()
        self._stop_asked = threading.Event()
        self._renewed_at: float | None = None
        self._turned_at = time.monotonic()
        self._lease: Object = {}
        self._seen_version = ""
        self._seen_at = 0.0
        self.failure: Exception | None = None

    def wait_until_leading(self) -> bool:
        """Blocks until this process leads, or until `stop`: then False."""
        self._decided.wait()
        return self._renewed_at is not None

    def stop(self) -> None:
        """Gives the Lease back, or stops waiting for it. Safe in a signal handler."""
        self._stop_asked.set()

    @property
    def is_stopping(self) -> bool:
        return self._stop_asked.is_set()

    @property
    def leads(self) -> bool:
        return self._renewed_at is not None

    def age(self) -> float:
        """Seconds since this thread last turned."""
        return time.monotonic() - self._turned_at

    def check(self) -> None:
        """The guard of every write. Raises `NotLeading`."""
        renewed_at = self._renewed_at
        if renewed_at is None or time.monotonic() - renewed_at > self._times.write_window:
            wait = self._times.renew_every
            raise NotLeading(0, "NotLeading", "the Lease was not renewed lately", retry_after=wait)

    def run(self) -> None:
        try:
            asyncio.run(self._run())
        except Exception as error:
            logger.exception("leader election failed")
            self.failure = error
            if self.leads:
                self._lost(f"leader election failed: {error}")
        finally:
            self._decided.set()

    async def _run(self) -> None:
        api = Api(await connect(connections=2), timeout=self._times.renew_deadline / 2)
        try:
            if await self._acquired(api):
                logger.info("leading", extra={"lease": self._lease_name, "holder": self._identity})
                metrics.LEADER.set(1)
                self._decided.set()
                await self._keep(api)
        finally:
            await api.close()

    async def _acquired(self, api: Api) -> bool:
        while not self._stop_asked.is_set():
            asked_at = time.monotonic()
            try:
                if await self._try(api):
                    self._renewed_at = asked_at
                    return True
            except (Conflict, AlreadyExists):
                pass  # Another one was quicker: look again.
            except ApiError as error:
                logger.warning("lease not read", extra={"error": str(error)})
            await self._pause(self._times.poll_every)
        return False

    async def _keep(self, api: Api) -> None:
        while not self._stop_asked.is_set():
            await self._pause(self._times.renew_every)
            if self._heartbeat.age() > self._times.renew_deadline:
                logger.error("the main loop stands still", extra={"stacks": _stacks()})
                self._lost(f"the main loop stood still for {self._heartbeat.age():.1f} s")
                return
            asked_at = time.monotonic()
            try:
                if not await self._renewed(api):
                    holder = self._lease["spec"].get("holderIdentity")
                    self._lost(f"{holder} holds the Lease")
                    return
                self._renewed_at = asked_at
            except ApiError as error:
                logger.warning("lease not renewed", extra={"error": str(error)})
            silent = time.monotonic() - (self._renewed_at or 0.0)
            if silent > self._times.renew_deadline:
                self._lost(f"the Lease was not renewed for {silent:.1f} s")
                return
        await self._release(api)

    async def _renewed(self, api: Api) -> bool:
        """Renews by one write over what was last stored; looks only when someone else wrote."""
        body = self._body(self._lease, taken_over=False)
        try:
            self._lease = await api.replace(LEASE, self._namespace, body)
        except (Conflict, NotFound):
            return await self._try(api)
        return True

    async def _try(self, api: Api) -> bool:
        """One attempt to take or renew the Lease. False: another one holds it."""
        try:
            self._lease = await api.get(LEASE, self._namespace, self._lease_name)
        except NotFound:
            body = self._body({}, taken_over=False)
            self._lease = await api.create(LEASE, self._namespace, body)
            return True
        spec = self._lease.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        version = self._lease["metadata"]["resourceVersion"]
        if version != self._seen_version:
            # Ages are counted from when we saw the change: clocks of two machines may differ.
            self._seen_version, self._seen_at = version, time.monotonic()
        age = time.monotonic() - self._seen_at
        expired = age > float(spec.get("leaseDurationSeconds") or self._times.duration)
        if holder not in ("", self._identity) and (not expired or self._renewed_at is not None):
            return False
        body = self._body(self._lease, taken_over=holder != self._identity)
        self._lease = await api.replace(LEASE, self._namespace, body)
        return True

    async def _release(self, api: Api) -> None:
        self._renewed_at = None
        metrics.LEADER.set(0)
        spec = {**self._lease["spec"], "holderIdentity": "", "renewTime": _now()}
        try:
            await api.replace(LEASE, self._namespace, {**self._lease, "spec": spec})
            logger.info("lease released", extra={"lease": self._lease_name})
        except ApiError as error:
            logger.warning("lease not released", extra={"error": str(error)})

    def _body(self, lease: Object, *, taken_over: bool) -> Object:
        spec = dict(lease.get("spec") or {})
        spec |= {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": max(1, round(self._times.duration)),
            "renewTime": _now(),
        }
        spec.setdefault("leaseTransitions", 0)
        if taken_over:
            spec["leaseTransitions"] += 1
        if taken_over or "acquireTime" not in spec:
            spec["acquireTime"] = spec["renewTime"]
        metadata = lease.get("metadata") or {"name": self._lease_name, "namespace": self._namespace}
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": metadata,
            "spec": spec,
        }

    def _lost(self, why: str) -> None:
        self._renewed_at = None
        metrics.LEADER.set(0)
        self._on_lost(why)

    async def _pause(self, seconds: float) -> None:
        """Sleeps, but wakes quickly for `stop`."""
        until = time.monotonic() + seconds
        while not self._stop_asked.is_set():
            self._turned_at = time.monotonic()
            left = until - self._turned_at
            if left <= 0:
                return
            await asyncio.sleep(min(left, 0.05))


def _now() -> str:
    now = datetime.datetime.now(datetime.UTC)
    return now.isoformat(timespec="microseconds").replace("+00:00", "Z")
