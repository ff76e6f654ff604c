"""What a drift policy has learned, in a ConfigMap that it owns: read once, written once a window.

Written under the resourceVersion that was read: another leader's later state is taken over, never
written over. It goes with the policy.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from lockstep_core.protocol.labels import MODEL
from lockstep_operator.api.kinds import CONFIG_MAP, DRIFT_POLICY
from lockstep_operator.api.objects import Object
from lockstep_operator.runtime.client import Api
from lockstep_operator.runtime.errors import AlreadyExists, ApiError, Conflict, NotFound

LIMIT = 1_000_000
"""Of the text: an object of etcd has 1.5 MiB at most, a ConfigMap 1 MiB."""
_KEY = "state.json"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """Whose state it is."""

    namespace: str
    model: str
    policy: str
    uid: str

    @property
    def name(self) -> str:
        return f"{self.policy}-drift"


@dataclass(frozen=True)
class Stored:
    """`text` is empty where nothing is stored; `problem` says why nothing can be."""

    text: str = ""
    problem: str = ""


class DriftStore:
    """The ConfigMap of one policy."""

    def __init__(self, api: Api, place: Place) -> None:
        self._api = api
        self._place = place
        self._version: str | None = None
        self._problem = ""

    async def load(self) -> Stored:
        """What is there. Raises `ApiError` when that cannot be known now."""
        place = self._place
        try:
            found = await self._api.get(CONFIG_MAP, place.namespace, place.name)
        except NotFound:
            self._version = None
            return Stored()
        owners = found["metadata"].get("ownerReferences") or []
        if not any(owner.get("uid") == place.uid for owner in owners):
            self._problem = (
                f"ConfigMap {place.name} belongs to someone else, so what is learned is lost with a"
                " restart of the operator: delete or rename it"
            )
            return Stored(problem=self._problem)
        self._version, self._problem = found["metadata"]["resourceVersion"], ""
        return Stored(str((found.get("data") or {}).get(_KEY, "")))

    async def save(self, text: str) -> Stored | None:
        """Writes it. What another process wrote meanwhile is returned instead, and nothing is
        written; the next `save` is over that.

        Raises `ApiError` for anything else: what was not written is written with the next window.
        """
        if self._problem and (found := await self.load()).problem:
            return found
        if len(text) > LIMIT:
            return Stored(
                problem=f"what is learned has {len(text)} bytes, above {LIMIT}, and is lost with a"
                " restart of the operator: watch one role, or fewer `spec.windows`"
            )
        try:
            if self._version is None:
                stored = await self._api.create(CONFIG_MAP, self._place.namespace, self._body(text))
            else:
                stored = await self._api.apply(CONFIG_MAP, self._place.namespace, self._body(text))
        except (AlreadyExists, Conflict):
            return await self.load()
        self._version = stored["metadata"]["resourceVersion"]
        return None

    def _body(self, text: str) -> Object:
        place = self._place
        owner = {
            **DRIFT_POLICY.type_meta,
            "name": place.policy,
            "uid": place.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }
        labels = {
            "app.kubernetes.io/name": "lockstep-drift",
            "app.kubernetes.io/part-of": "lockstep",
            "app.kubernetes.io/managed-by": "lockstep",
            MODEL: place.model,
        }
        metadata: Object = {"name": place.name, "labels": labels, "ownerReferences": [owner]}
        if self._version is not None:
            metadata["resourceVersion"] = self._version
        return {**CONFIG_MAP.type_meta, "metadata": metadata, "data": {_KEY: text}}


async def stored_or_nothing(store: DriftStore) -> Stored | None:
    """What is stored, or None while the API server does not say."""
    try:
        return await store.load()
    except ApiError as error:
        logger.warning("drift state not read", extra={"error": str(error)})
        return None
