"""The snapshot, parsed once: typed objects of ours, and lookups that check who owns a child."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import Any

from pydantic import ValidationError

from lockstep_core.protocol import labels
from lockstep_core.protocol.labels import GROUP
from lockstep_operator import api
from lockstep_operator.api.kinds import POLICIES, ResourceKind
from lockstep_operator.api.objects import (
    Index,
    Model,
    Object,
    Release,
    Resource,
    S,
    T,
    parse_index,
    parse_model,
    parse_release,
)
from lockstep_operator.decide.snapshot.observed import FOREIGN_OWNER, Observed, Refusal, Settings
from lockstep_operator.decide.vocabulary.hints import number_of
from lockstep_operator.decide.vocabulary.reasons import Reason


@dataclass(frozen=True)
class Problem:
    """Why no release can be made of what is asked. `waits`: something is not there yet."""

    reason: Reason
    message: str
    waits: bool = False


@dataclass(frozen=True)
class BrokenObject:
    """A VectorIndex, or a policy, that this version cannot read."""

    raw: Object
    message: str


@dataclass(frozen=True)
class Policies:
    """The objects of one of `kinds.POLICIES` that name the model, and those that cannot be read."""

    kind: ResourceKind
    objects: tuple[Resource[Any, Any], ...]
    broken: tuple[BrokenObject, ...]


class Unreadable(Exception):
    """The model or one of its releases is not what this version can read."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.problem = Problem(reason, message)


@dataclass(frozen=True)
class Snapshot:
    """One model with everything of its own. Releases are sorted by number, indexes by name."""

    observed: Observed
    settings: Settings
    now: datetime
    model: Model
    releases: tuple[Release, ...]
    indexes: tuple[Index, ...]
    broken_indexes: tuple[BrokenObject, ...]
    next_number: int
    policies: tuple[Policies, ...] = ()

    def index(self, name: str) -> Index | None:
        return next((index for index in self.indexes if index.name == name), None)

    def child(self, kind: str, name: str, owner_uid: str) -> Object | None:
        """A child by kind and name, None when it is absent or someone else's."""
        live = _named(self.observed.of(kind), name)
        return live if live is not None and is_owned(live, owner_uid) else None

    def conflict(self, kind: str, name: str, owner_uid: str) -> str | None:
        """The sentence about an object that has our child's name and another owner."""
        live = _named(self.observed.of(kind), name)
        refused = self.refusal(kind, name)
        if live is not None and (is_owned(live, owner_uid) or self._is_remnant(live)):
            return None
        if live is None and (refused is None or refused.reason != FOREIGN_OWNER):
            return None
        return f"{kind} {name} exists and belongs to someone else: delete or rename it"

    def remnant(self, kind: str, name: str, owner_uid: str) -> str | None:
        """The sentence about an object that holds our child's name and is on its way out.

        A model or a release that was deleted and made again finds the children of the one before:
        garbage collection removes them, and no person has to act.
        """
        live = _named(self.observed.of(kind), name)
        if live is None or is_owned(live, owner_uid) or not self._is_remnant(live):
            return None
        return f"{kind} {name} of a deleted release is still being removed"

    def _is_remnant(self, live: Object) -> bool:
        if "deletionTimestamp" in live["metadata"]:
            return True
        alive = {self.model.uid, *(release.uid for release in self.releases)}
        owners = live["metadata"].get("ownerReferences") or []
        ours = [o for o in owners if str(o.get("apiVersion", "")).startswith(f"{GROUP}/")]
        return bool(ours) and len(ours) == len(owners) and all(o["uid"] not in alive for o in ours)

    def refusal(self, kind: str, name: str) -> Refusal | None:
        matching = (r for r in self.observed.refusals if (r.kind, r.name) == (kind, name))
        return next(matching, None)

    @property
    def refused_record(self) -> Refusal | None:
        """Why the status of one of the releases could not be written."""
        names = {release.name for release in self.releases}
        refused = (r for r in self.observed.refusals if r.kind == "EmbeddingRelease")
        return next((r for r in refused if r.name in names), None)

    @property
    def unowned_records(self) -> list[Object]:
        """EmbeddingReleases that name this model and that deleting it would not delete.

        Not those of a deleted model of the same name: garbage collection removes them.
        """
        return [
            raw
            for raw in self.observed.releases
            if not is_owned(raw, self.model.uid) and not self._is_remnant(raw)
        ]

    def children(self, kind: str, owner_uid: str) -> list[Object]:
        return [child for child in self.observed.of(kind) if is_owned(child, owner_uid)]

    def pods_of_job(self, job: Object) -> list[Object]:
        uid = job["metadata"].get("uid", "")
        return [pod for pod in self.observed.pods if is_owned(pod, uid)]

    def serving_pods(self, release: str) -> list[Object]:
        """Pods of a release's encoder and index servers that are not being deleted."""
        return [
            pod
            for pod in self.observed.pods
            if _label(pod, labels.RELEASE) == release
            and _label(pod, labels.COMPONENT) in ("encoder", "index")
            and "deletionTimestamp" not in pod["metadata"]
        ]

    def encoder_runs(self, release: str) -> bool:
        """Whether an encoder pod of a release still runs, if only to end what reached it."""
        return any(
            _label(pod, labels.RELEASE) == release
            and _label(pod, labels.COMPONENT) == "encoder"
            and (pod.get("status") or {}).get("phase") == "Running"
            for pod in self.observed.pods
        )


def read(observed: Observed, settings: Settings, now: datetime) -> Snapshot:
    """Raises `Unreadable`. A VectorIndex that cannot be read is set apart, not an error here."""
    assert observed.model is not None
    try:
        model = parse_model(observed.model)
    except ValidationError as error:
        raise Unreadable(Reason.INVALID_SPEC, explain(error)) from error
    releases, taken = [], [0, *_numbers_shown(model)]
    for raw in observed.releases:
        if not is_owned(raw, model.uid):
            # Of a deleted model of the same name, or `unowned_records`: its name is not free.
            taken.append(number_of(raw["metadata"]["name"], model.name) or 0)
            continue
        release = _read_release(raw)
        taken.append(release.spec.number)
        # A release that is being deleted is gone, but its name is not free yet.
        if not release.deleting:
            releases.append(release)
    indexes, broken = read_indexes(observed.indexes)
    return Snapshot(
        observed=observed,
        settings=settings,
        now=now,
        model=model,
        releases=tuple(sorted(releases, key=lambda release: release.spec.number)),
        indexes=indexes,
        broken_indexes=broken,
        next_number=max(taken) + 1,
        policies=read_policies(observed),
    )


def _numbers_shown(model: Model) -> list[int]:
    """Numbers that the status still shows: the name of a release deleted by hand stays its own.

    Its children and its results in the store carry that name a while longer.
    """
    status = model.status
    pointers = [pointer.release for pointer in (status.stable, status.candidate) if pointer]
    names = [*pointers, *(entry.release for entry in status.history or ())]
    return [number_of(name, model.name) or 0 for name in names]


def read_indexes(raws: Iterable[Object]) -> tuple[tuple[Index, ...], tuple[BrokenObject, ...]]:
    """The VectorIndexes by name, and those that cannot be read. Deleted ones count no more."""
    return _read_each(raws, parse_index)


def read_policies(observed: Observed) -> tuple[Policies, ...]:
    """As `read_indexes`, of every kind of policy."""
    return tuple(
        Policies(kind, *_read_each(observed.of(kind.kind), parser)) for kind, parser in PARSERS
    )


def _parser_of(kind: ResourceKind) -> Callable[[Object], Resource[Any, Any]]:
    """`parse` of the module of `api` that has the kind's name."""
    parser: Callable[[Object], Resource[Any, Any]]
    parser = import_module(f"{api.__name__}.{kind.module}").parse
    return parser


PARSERS = tuple((kind, _parser_of(kind)) for kind in POLICIES)


def _read_each(
    raws: Iterable[Object], parser: Callable[[Object], Resource[S, T]]
) -> tuple[tuple[Resource[S, T], ...], tuple[BrokenObject, ...]]:
    parsed, broken = [], []
    for raw in sorted(raws, key=lambda raw: str(raw["metadata"]["name"])):
        try:
            one = parser(raw)
        except ValidationError as error:
            broken.append(BrokenObject(raw, explain(error)))
            continue
        if not one.deleting:
            parsed.append(one)
    return tuple(parsed), tuple(broken)


def _read_release(raw: Object) -> Release:
    try:
        return parse_release(raw)
    except ValidationError as error:
        name = raw["metadata"]["name"]
        raise Unreadable(
            Reason.INVALID_RELEASE,
            f"EmbeddingRelease {name} cannot be read by this version of the operator"
            f" ({explain(error)}): run the version that wrote it. Deleting the release deletes its"
            " pods, so do that only where it serves nothing",
        ) from error


def explain(error: ValidationError) -> str:
    """Each problem as "`field` (value): what is wrong", the first five of them.

    Spec and status are parsed apart, and the name of what was parsed shows which of them it is.
    """
    root = "status" if error.title.endswith("Status") else "spec"
    lines = []
    for item in error.errors(include_url=False)[:5]:
        path = ".".join(str(part) for part in (root, *item["loc"]))
        value = repr(item["input"])
        shown = value if len(value) <= 60 else value[:57] + "..."
        lines.append(f"`{path}` ({shown}): {item['msg']}")
    more = error.error_count() - len(lines)
    return "; ".join(lines) + (f"; and {more} more" if more > 0 else "")


def is_owned(child: Object, uid: str) -> bool:
    owners = child["metadata"].get("ownerReferences") or []
    return bool(uid) and any(owner.get("uid") == uid for owner in owners)


def _named(objects: Iterable[Object], name: str) -> Object | None:
    return next((live for live in objects if live["metadata"]["name"] == name), None)


def _label(pod: Object, key: str) -> str | None:
    value = (pod["metadata"].get("labels") or {}).get(key)
    return None if value is None else str(value)
