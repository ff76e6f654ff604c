"""The pass in progress: working copies of the releases' records, and the writes planned so far."""

from __future__ import annotations

import dataclasses
from typing import Any

from lockstep_operator.api.model import HandledVerb
from lockstep_operator.api.objects import API_VERSION, Object, Release
from lockstep_operator.api.release import Stage
from lockstep_operator.api.status import Failure
from lockstep_operator.decide.context.health import ReleaseHealth
from lockstep_operator.decide.context.plan import Event, EventType, Reference
from lockstep_operator.decide.context.traffic import Traffic
from lockstep_operator.decide.context.transitions import Note
from lockstep_operator.decide.snapshot.desired import Desired, desired_state
from lockstep_operator.decide.snapshot.drift import DriftWatch
from lockstep_operator.decide.snapshot.measurements import MeasureRequest
from lockstep_operator.decide.snapshot.snapshot import Problem, Snapshot
from lockstep_operator.decide.stage_table import facts_of
from lockstep_operator.decide.vocabulary import clock
from lockstep_operator.decide.vocabulary.reasons import Word

MESSAGE_LIMIT = 2000


class ReconcileContext:
    """Mutable while one decision is made, and thrown away with it.

    A release's record is changed here first, so that later steps of the same pass see what earlier
    ones decided. Records are written in the order in which they were first changed.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.model = snapshot.model
        self.now = clock.text(snapshot.now)
        self.desired: Desired | Problem = desired_state(snapshot)
        self.create: list[Object] = []
        self.apply: list[Object] = []
        self.delete: list[Reference] = []
        self.events: list[Event] = []
        self.measure: list[MeasureRequest] = []
        self.watch: list[DriftWatch] = []
        self.handled: dict[str, HandledVerb] = {
            entry.verb: entry for entry in snapshot.model.status.last_handled or ()
        }
        self.notes: dict[str, Note] = {}
        # The health of releases, until a record changes: see `workloads.children.health_of`.
        self.healths: dict[str, ReleaseHealth] = {}
        # A sentence for each of our names that belongs to someone else.
        self.conflicts: list[str] = []
        # What the candidate's stage asks for; None: all requests to the stable release.
        self.traffic: Traffic | None = None
        # Releases that entered a stage which must not begin in this pass.
        self.not_begun: set[str] = set()
        # Why the gates of a release that was just promoted cannot be measured, mostly empty.
        self.watch_trouble = ""
        # Why a change of the spec that is seen has not started yet.
        self.change_waits: str | None = None
        self._wakes: list[float] = []
        self._before = {release.name: release for release in snapshot.releases}
        self._releases = dict(self._before)
        # Names in the order of the first change.
        self._touched: dict[str, None] = {}

    # -- what there is

    @property
    def releases(self) -> tuple[Release, ...]:
        """All releases by number, with their records as this pass has left them."""
        return tuple(self._releases.values())

    def release(self, name: str) -> Release:
        """The release, with its record as this pass has left it."""
        return self._releases[name]

    @property
    def newest(self) -> Release | None:
        return self.releases[-1] if self._releases else None

    @property
    def stable(self) -> Release | None:
        """The release that answers users.

        Between the two writes of a switch two hold that place: then it is the one that came last.
        """

        def came_last(release: Release) -> tuple[bool, str, int]:
            status = release.status
            finalizing = status.stage is Stage.FINALIZING
            return finalizing, status.promoted_at or "", release.spec.number

        held = [r for r in self.releases if facts_of(r.status.stage).serves]
        return max(held, key=came_last, default=None)

    @property
    def candidate(self) -> Release | None:
        """The release that is on its way; one that had served and returns goes first."""
        on_their_way = [
            release for release in self.releases if facts_of(release.status.stage).on_its_way
        ]
        return max(
            on_their_way, key=lambda r: (r.status.promoted_at or "", r.spec.number), default=None
        )

    @property
    def retained(self) -> tuple[Release, ...]:
        """Replaced releases whose pods are kept, the best one to go back to first.

        That is the one replaced last, of those that did not fail after their promotion.
        """

        def fitness(release: Release) -> tuple[bool, str, int]:
            watch = release.status.watch
            failed = watch is not None and watch.has_failed
            return not failed, release.status.finished_at or "", release.spec.number

        kept = [r for r in self.releases if r.status.stage is Stage.RETAINED]
        return tuple(sorted(kept, key=fitness, reverse=True))

    def changed(self) -> list[Release]:
        """Releases whose record this pass changed, in the order of the first change."""
        touched = (self._releases[name] for name in self._touched)
        return [
            release for release in touched if release.status != self._before[release.name].status
        ]

    # -- changes of a record

    def change(self, name: str, **fields: Any) -> None:
        """Writes fields of a record. Raises `pydantic.ValidationError` for what is no field."""
        self.describe(name, **fields)
        self.healths.clear()

    def describe(self, name: str, **fields: Any) -> None:
        """Writes what follows from the rest of a record: its message and its conditions."""
        release = self._releases[name]
        self._releases[name] = dataclasses.replace(release, status=release.status.replace(**fields))
        self._touched.setdefault(name)

    def enter(self, name: str, stage: Stage, **fields: Any) -> None:
        """Moves a release into another stage; the clock and the pause of the last one end."""
        self.change(
            name,
            **{
                "stage": stage,
                "stage_started_at": self.now,
                "next_retry_at": None,
                "pause": None,
                **fields,
            },
        )
        self.notes.pop(name, None)

    def failure(
        self,
        name: str,
        reason: str,
        message: str,
        *,
        exit_code: int | None = None,
        pod: str | None = None,
    ) -> Failure:
        """A failure in the release's current stage, now."""
        return Failure(
            stage=self.release(name).status.stage or "",
            reason=reason,
            message=message[:MESSAGE_LIMIT],
            exit_code=exit_code,
            pod=pod,
            time=self.now,
        )

    def say(
        self, name: str, reason: str, message: str, *, ready: bool = False, stalled: bool = False
    ) -> None:
        self.notes[name] = Note(reason, message[: 2 * MESSAGE_LIMIT], ready, stalled)

    # -- everything else

    def event(
        self, reason: Word, note: str, *, warning: bool = False, about: Reference | None = None
    ) -> None:
        """One Event, about the model where nothing is named: `kubectl describe em` is where people
        look."""
        about = about or Reference(API_VERSION, "EmbeddingModel", self.model.name, self.model.uid)
        kind = EventType.WARNING if warning else EventType.NORMAL
        self.events.append(Event(about, kind, reason, note[:1000]))

    def wake_in(self, seconds: float) -> None:
        self._wakes.append(max(0.0, seconds))

    def wake_at(self, moment: str) -> None:
        self.wake_in(-clock.seconds_since(moment, self.snapshot.now))

    @property
    def look_again_after(self) -> float | None:
        return min(self._wakes, default=None)
