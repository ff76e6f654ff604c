"""One model as a person on call wants to see it: plain data, made of raw objects alone.

The operator may be older or newer than the plugin, so nothing here is an error: what a status does
not say is not shown. `--output json` prints these classes as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from lockstep_core.protocol.labels import RELEASE
from lockstep_core.protocol.verbs import short_name
from lockstep_kubectl.api import Object
from lockstep_kubectl.gather import Snapshot
from lockstep_kubectl.work import Server, Work, servers_of, work_of

# A message ends with its commands: `Continue: kubectl annotate ...; Stop: kubectl annotate ...`.
_FIRST_COMMAND = re.compile(r"(?:^| )(?=[A-Z][a-z ]*(?:r[0-9]+)?: kubectl )")
_NEXT_COMMAND = re.compile(r"; (?=[A-Z][a-z ]*(?:r[0-9]+)?: kubectl )")
ENDED_BADLY = ("Failed", "Superseded")


@dataclass(frozen=True)
class Command:
    """What the message offers: `Stop`, and the command that does it."""

    label: str
    command: str


@dataclass(frozen=True)
class StepView:
    """One step of the canary. `state` is Done, Current or Next."""

    text: str
    state: str


@dataclass(frozen=True)
class FailureView:
    """What failed last, and where to look."""

    stage: str
    reason: str
    message: str
    pod: str | None
    exit_code: int | None


@dataclass(frozen=True)
class ReleaseView:
    """A release with its steps, what works for it and what serves it."""

    role: str
    name: str
    stage: str
    space: str | None
    weight: int | None
    asked_weight: int | None
    since: datetime | None
    message: str
    steps: tuple[StepView, ...] = ()
    work: tuple[Work, ...] = ()
    servers: tuple[Server, ...] = ()
    failure: FailureView | None = None


@dataclass(frozen=True)
class GateView:
    name: str
    verdict: str
    line: str
    value: str | None
    bound: str | None
    samples: int | None


@dataclass(frozen=True)
class ConditionView:
    type: str
    status: str
    reason: str
    message: str


@dataclass(frozen=True)
class ModelView:
    """The whole picture. `observed` is False while the operator has not seen the newest spec, and
    `judged` is the release that the gates are of."""

    namespace: str
    name: str
    phase: str
    observed: bool
    step: str | None
    weight: str | None
    message: str
    commands: tuple[Command, ...]
    releases: tuple[ReleaseView, ...]
    judged: str | None
    gates_summary: str | None
    gates: tuple[GateView, ...]
    conditions: tuple[ConditionView, ...]


def view_of(snapshot: Snapshot) -> ModelView:
    """The picture of one snapshot."""
    status = snapshot.model.get("status") or {}
    message, commands = split_message(status.get("message") or "")
    judged, gates = shown_gates(status, snapshot.releases)
    generation = snapshot.model["metadata"].get("generation")
    return ModelView(
        namespace=snapshot.namespace,
        name=snapshot.name,
        phase=status.get("phase") or "Pending",
        observed=status.get("observedGeneration") == generation,
        step=status.get("stepDisplay"),
        weight=status.get("weightDisplay"),
        message=message or "The operator has not looked at this model yet.",
        commands=commands,
        releases=tuple(_releases(snapshot, status)),
        judged=judged,
        gates_summary=status.get("gatesSummary") if gates == gates_of(status) else None,
        gates=gates,
        conditions=tuple(
            ConditionView(c["type"], c["status"], c.get("reason", ""), c.get("message", ""))
            for c in status.get("conditions") or ()
        ),
    )


def split_message(message: str) -> tuple[str, tuple[Command, ...]]:
    """The sentences of a status message, and the commands at its end."""
    match = _FIRST_COMMAND.search(message)
    if match is None:
        return message, ()
    prose, rest = message[: match.start()], message[match.end() :]
    commands = []
    for part in _NEXT_COMMAND.split(rest):
        label, _, command = part.partition(": ")
        commands.append(Command(label, command))
    return prose, tuple(commands)


def gates_of(status: Object) -> tuple[GateView, ...]:
    """The verdicts of a model's or of a release's status."""
    return tuple(
        GateView(
            name=gate["name"],
            verdict=gate.get("verdict", ""),
            line=gate.get("line", ""),
            value=gate.get("value"),
            bound=gate.get("bound"),
            samples=gate.get("samples"),
        )
        for gate in status.get("gates") or ()
    )


def shown_gates(
    status: Object, releases: Sequence[Object]
) -> tuple[str | None, tuple[GateView, ...]]:
    """The short name of a release and its verdicts: those of the newest where its gates failed it,
    else those that the model's status shows, of the candidate or of what serves."""
    newest = (releases[-1].get("status") or {}) if releases else {}
    failed = gates_of(newest)
    if newest.get("outcome") == "Failed" and any(gate.verdict == "Fail" for gate in failed):
        return short_name(releases[-1]["metadata"]["name"]), failed
    gates = gates_of(status)
    pointed = [(status.get(role) or {}).get("release") for role in ("candidate", "stable")]
    by_name = {release["metadata"]["name"]: release.get("status") or {} for release in releases}
    for name in filter(None, pointed):
        # A line that was rewritten for display is of the same gate and number.
        if gates and _numbers(gates_of(by_name.get(name, {}))) == _numbers(gates):
            return short_name(name), gates
    return None, gates


def _numbers(gates: Sequence[GateView]) -> list[tuple[str, str, str | None]]:
    return [(gate.name, gate.verdict, gate.value) for gate in gates]


def time_of(text: str | None) -> datetime | None:
    """A time of a status."""
    return None if text is None else datetime.fromisoformat(text)


def _releases(snapshot: Snapshot, status: Object) -> Iterable[ReleaseView]:
    """Stable, candidate, what just ended badly, and what is kept for a rollback."""
    stable, candidate = status.get("stable") or {}, status.get("candidate") or {}
    shown = {stable.get("release"): "stable", candidate.get("release"): "candidate"}
    records = {release["metadata"]["name"]: release for release in snapshot.releases}
    for name, role in shown.items():
        if name in records:
            pointer = stable if role == "stable" else candidate
            yield _release(snapshot, records[name], role, pointer, status)
    rest = [release for release in snapshot.releases if release["metadata"]["name"] not in shown]
    newest = snapshot.releases[-1] if snapshot.releases else None
    for release in reversed(rest):
        stage = _stage(release)
        if stage == "Retained":
            yield _release(snapshot, release, "kept", {}, status)
        elif release is newest and stage in ENDED_BADLY:
            yield _release(snapshot, release, "ended", {}, status)


def _stage(release: Object) -> str:
    return str((release.get("status") or {}).get("stage") or "Pending")


def _release(
    snapshot: Snapshot, release: Object, role: str, pointer: Object, model_status: Object
) -> ReleaseView:
    name, status = release["metadata"]["name"], release.get("status") or {}
    step = (model_status.get("step") or {}) if role == "candidate" else {}
    failure = status.get("lastFailure")
    return ReleaseView(
        role=role,
        name=short_name(name),
        stage=_stage(release),
        space=(status.get("training") or {}).get("spaceID"),
        weight=step.get("achievedWeight", pointer.get("weight")),
        asked_weight=step.get("askedWeight"),
        since=time_of(pointer.get("since") or status.get("stageStartedAt")),
        message=status.get("message") or "",
        steps=_steps(snapshot.model, step),
        work=work_of(snapshot, _of_release(snapshot.jobs, name)),
        servers=servers_of(snapshot, _of_release(snapshot.deployments, name)),
        failure=_failure(failure) if failure else None,
    )


def _of_release(objects: Iterable[Object], name: str) -> list[Object]:
    return [each for each in objects if each["metadata"]["labels"].get(RELEASE) == name]


def _failure(failure: Object) -> FailureView:
    return FailureView(
        stage=failure["stage"],
        reason=failure["reason"],
        message=failure.get("message", ""),
        pod=failure.get("pod"),
        exit_code=failure.get("exitCode"),
    )


def _steps(model: Object, step: Object) -> tuple[StepView, ...]:
    if not step:
        return ()
    declared = (model["spec"].get("rollout") or {}).get("steps") or []
    at = int(step["index"]) - 1
    states = ["Done" if i < at else "Current" if i == at else "Next" for i in range(len(declared))]
    return tuple(
        StepView(_step_text(one), state) for one, state in zip(declared, states, strict=True)
    )


def _step_text(step: Object) -> str:
    """A step as the spec declares it, in few words."""
    if "setWeight" in step:
        return f"{step['setWeight']}%"
    if "mirror" in step:
        return f"mirror {step['mirror']}%"
    if "analysis" in step:
        return "analysis " + ", ".join(step["analysis"]["gates"])
    seconds = (step.get("pause") or {}).get("seconds")
    return "pause" if seconds is None else f"pause {seconds} s"
