"""Carries a Plan out, write by write, in the plan's order.

A write that is not needed is not sent, a refusal that will not pass by itself is kept for the next
decision, and anything else that fails ends the pass: the key comes back and is decided anew.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from lockstep_core.protocol.labels import MODEL
from lockstep_operator.api.kinds import (
    DEPLOYMENT,
    ResourceKind,
    resource_of,
)
from lockstep_operator.api.objects import Object
from lockstep_operator.decide.context.plan import Event, Plan, Reference, StatusWrite
from lockstep_operator.decide.snapshot.observed import FOREIGN_OWNER, Refusal
from lockstep_operator.decide.vocabulary.compare import applied_hash, difference, with_hash
from lockstep_operator.runtime import statuses
from lockstep_operator.runtime.cache import Cache, owner_uids
from lockstep_operator.runtime.client import FIELD_MANAGER, Api
from lockstep_operator.runtime.errors import AlreadyExists, Conflict, NotFound, Refused
from lockstep_operator.runtime.events import Recorder
from lockstep_operator.runtime.logging import facts_of
from lockstep_operator.runtime.queue import Key
from lockstep_operator.runtime.rewrites import Rewrites

logger = logging.getLogger(__name__)


@dataclass
class Outcome:
    """What one pass over a plan did."""

    writes: int = 0
    refusals: list[Refusal] = field(default_factory=list)


class Applier:
    """Writes to one API server and tells the cache what came back."""

    def __init__(self, api: Api, cache: Cache, recorder: Recorder) -> None:
        self._api = api
        self._cache = cache
        self._recorder = recorder
        self._rewrites = Rewrites()

    async def carry_out(self, key: Key, plan: Plan, known: Sequence[Refusal] = ()) -> Outcome:
        """Raises `ApiError` when the pass must be repeated; what was written stays written.

        `known` are the refusals that the plan was decided with, and so tells.
        """
        outcome = Outcome()
        ahead = await self._create_all(key, plan.releases, outcome)
        ahead = ahead and await self._write_statuses(key, plan.records, outcome)
        if not ahead:
            # What follows rests on these: a deed without its record would be done twice.
            if _addresses(outcome.refusals) <= _addresses(known):
                await self._write_statuses(key, plan.projections, outcome)
            return outcome
        await self._create_all(key, plan.create, outcome)
        for manifest in plan.apply:
            await self._kept(outcome, manifest, self._apply(key, manifest, outcome))
        for reference in plan.delete:
            await self._kept(outcome, reference, self._delete(key, reference, outcome))
        await self._write_statuses(key, plan.projections, outcome)
        if not outcome.refusals:
            await self._record_events(key, plan.events)
        return outcome

    async def _create_all(self, key: Key, manifests: Iterable[Object], outcome: Outcome) -> bool:
        accepted = True
        for manifest in manifests:
            accepted &= await self._kept(outcome, manifest, self._create(key, manifest, outcome))
        return accepted

    async def _write_statuses(
        self, key: Key, writes: Iterable[StatusWrite], outcome: Outcome
    ) -> bool:
        accepted = True
        for write in writes:
            accepted &= await self._kept(outcome, write.of, self._status(key, write, outcome))
        return accepted

    async def _kept(self, outcome: Outcome, about: Object | Reference, write: Any) -> bool:
        """Awaits one write; a refusal is kept, and the plan goes on."""
        try:
            await write
        except Refused as error:
            refusal = _refusal(about, error)
            outcome.refusals.append(refusal)
            logger.warning("write refused", extra=facts_of(refusal.kind, refusal.name, str(error)))
            return False
        return True

    async def _create(self, key: Key, manifest: Object, outcome: Outcome) -> None:
        kind, name = _address(manifest)
        known = self._cache.get(kind, key.namespace, name)
        if known is not None:
            _check_owner(manifest, known)
            return
        try:
            stored = await self._api.create(kind, key.namespace, manifest)
        except AlreadyExists:
            await self._adopt(key, kind, manifest, outcome)
            return
        except NotFound as error:
            # The namespace is going away, and the model with it.
            raise Refused(error.code, error.reason, error.message) from error
        outcome.writes += 1
        self._cache.put(kind, stored)
        logger.info("created", extra=facts_of(kind.kind, f"{key.namespace}/{name}"))

    async def _adopt(
        self, key: Key, kind: ResourceKind, manifest: Object, outcome: Outcome
    ) -> None:
        """Takes over what an earlier process created, or what lost its label by hand."""
        name = manifest["metadata"]["name"]
        live = await self._read(kind, key.namespace, name)
        if live is None:
            raise Conflict(409, "Conflict", f"{manifest['kind']} {name} was there and is gone")
        _check_owner(manifest, live)
        labels = manifest["metadata"].get("labels") or {}
        if labels.get(MODEL) != (live["metadata"].get("labels") or {}).get(MODEL):
            metadata = {"name": name, "uid": live["metadata"]["uid"], "labels": labels}
            patch = {**kind.type_meta, "metadata": metadata}
            live = await self._api.apply(kind, key.namespace, patch)
            outcome.writes += 1
        self._cache.put(kind, live)
        logger.info("adopted", extra=facts_of(kind.kind, f"{key.namespace}/{name}"))

    async def _apply(self, key: Key, manifest: Object, outcome: Outcome) -> None:
        kind, name = _address(manifest)
        live = self._cache.get(kind, key.namespace, name)
        if live is None:
            # Server-side apply would merge into a stranger of that name, so look first.
            live = await self._read(kind, key.namespace, name)
        body = with_hash(manifest)
        why = "absent"
        if live is not None:
            _check_owner(manifest, live)
            differs = difference(manifest, live)
            if differs is None or self._rewrites.includes(
                live, applied_hash(manifest), _spec_of(live)
            ):
                self._cache.put(kind, live)
                return
            why = differs
            # The uid makes the server refuse to touch another object of the same name.
            body["metadata"]["uid"] = live["metadata"]["uid"]
            await self._leave_replicas(key, kind, manifest, live, outcome)
        stored = await self._repaired(kind, key, name, self._api.apply(kind, key.namespace, body))
        outcome.writes += 1
        self._cache.put(kind, stored)
        differs = difference(manifest, stored)
        self._rewrites.note(stored, applied_hash(manifest), _spec_of(stored), differs)
        logger.info("applied", extra=facts_of(kind.kind, f"{key.namespace}/{name}", why))

    async def _leave_replicas(
        self, key: Key, kind: ResourceKind, manifest: Object, live: Object, outcome: Outcome
    ) -> None:
        """Keeps the number of pods where it is when the manifest stops to name it.

        Whether it is ours to leave stands in the managed fields, which the cache does not keep.
        """
        if kind is not DEPLOYMENT or "replicas" in manifest["spec"]:
            return
        name = live["metadata"]["name"]
        known = await self._repaired(kind, key, name, self._api.get(kind, key.namespace, name))
        if not _holds_replicas(known):
            return
        metadata = {"name": name, "uid": known["metadata"]["uid"]}
        spec = {"replicas": known["spec"]["replicas"]}
        body = {**kind.type_meta, "metadata": metadata, "spec": spec}
        call = self._api.hand_over(kind, key.namespace, body)
        self._cache.put(kind, await self._repaired(kind, key, name, call))
        outcome.writes += 1
        logger.info("replicas left to the autoscaler", extra=facts_of(kind.kind, name) | spec)

    async def _delete(self, key: Key, reference: Reference, outcome: Outcome) -> None:
        kind = resource_of(reference.api_version, reference.kind)
        known = self._cache.get(kind, key.namespace, reference.name)
        uid = reference.uid or (known["metadata"]["uid"] if known is not None else None)
        if known is not None and "deletionTimestamp" in known["metadata"]:
            return
        try:
            answer = await self._api.delete(kind, key.namespace, reference.name, uid=uid)
        except NotFound:
            self._cache.gone(kind, key.namespace, reference.name, uid)
            return
        except Conflict:
            # Another object has the name now: the one that was to go is gone.
            self._cache.gone(kind, key.namespace, reference.name, uid)
            raise
        outcome.writes += 1
        if answer.get("kind") == "Status":
            self._cache.gone(kind, key.namespace, reference.name, uid)
        else:
            self._cache.put(kind, answer)
        logger.info("deleted", extra=facts_of(kind.kind, f"{key.namespace}/{reference.name}"))

    async def _status(self, key: Key, write: StatusWrite, outcome: Outcome) -> None:
        kind = resource_of(write.of.api_version, write.of.kind)
        live = self._cache.get(kind, key.namespace, write.of.name)
        if live is None:
            return
        before = live.get("status")
        asked = applied_hash(write.status)
        if before == write.status or self._rewrites.includes(live, asked, before):
            return
        operations = statuses.patch_of(kind, live, write.status)
        call = self._api.patch_status(kind, key.namespace, write.of.name, operations)
        stored = await self._repaired(kind, key, write.of.name, call)
        outcome.writes += 1
        self._cache.put(kind, stored)
        after = stored.get("status")
        self._rewrites.note(stored, asked, after, None if after == write.status else "status")
        statuses.tell_transition(kind, key, write, before or {})

    async def _repaired(self, kind: ResourceKind, key: Key, name: str, call: Any) -> Object:
        """Awaits a write; when the object is not what we thought, reads it before giving up."""
        try:
            answer: Object = await call
        except (Conflict, NotFound):
            if await self._read(kind, key.namespace, name) is None:
                self._cache.gone(kind, key.namespace, name, None)
            raise
        return answer

    async def _read(self, kind: ResourceKind, namespace: str, name: str) -> Object | None:
        try:
            live = await self._api.get(kind, namespace, name)
        except NotFound:
            return None
        if kind.selector is None or kind.selector in (live["metadata"].get("labels") or {}):
            self._cache.put(kind, live)
        return live

    async def _record_events(self, key: Key, events: Iterable[Event]) -> None:
        for event in events:
            kind = resource_of(event.about.api_version, event.about.kind)
            known = self._cache.get(kind, key.namespace, event.about.name)
            uid = event.about.uid or (known["metadata"]["uid"] if known is not None else "")
            await self._recorder.record(event, namespace=key.namespace, uid=uid)


def _addresses(refusals: Iterable[Refusal]) -> set[tuple[str, str]]:
    return {(refusal.kind, refusal.name) for refusal in refusals}


def _address(manifest: Object) -> tuple[ResourceKind, str]:
    return resource_of(manifest["apiVersion"], manifest["kind"]), manifest["metadata"]["name"]


def _check_owner(manifest: Object, live: Object) -> None:
    """Raises `Refused` when the live object does not belong to the manifest's owner."""
    if owner_uids(manifest) & owner_uids(live):
        return
    name = manifest["metadata"]["name"]
    raise Refused(
        409,
        FOREIGN_OWNER,
        f"{manifest['kind']} {name} exists and belongs to someone else:"
        f" delete or rename it, Lockstep then makes its own",
    )


def _refusal(about: Object | Reference, error: Refused) -> Refusal:
    if isinstance(about, Reference):
        kind, name = about.kind, about.name
    else:
        kind, name = about["kind"], about["metadata"]["name"]
    return Refusal(kind=kind, name=name, message=error.message, reason=error.reason)


def _holds_replicas(live: Object) -> bool:
    """Whether our last apply named `spec.replicas`, and no one has changed it since."""
    return any(
        entry.get("manager") == FIELD_MANAGER
        and entry.get("operation") == "Apply"
        and "f:replicas" in (entry.get("fieldsV1") or {}).get("f:spec", {})
        for entry in live["metadata"].get("managedFields") or []
    )


def _spec_of(live: Object) -> Any:
    return live["metadata"].get("generation", live.get("spec"))
