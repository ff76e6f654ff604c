"""The reading `REPLAY`: held-out queries that a Job sends through the candidate's own servers.

Each measurement is a Job. Its measurements are its Jobs: they carry the analysis that they were
made for, so nothing of them need be written down, and a restart of the operator finds them.
"""

from __future__ import annotations

from collections.abc import Sequence

from lockstep_operator.api.gates import Gate
from lockstep_operator.api.objects import Object
from lockstep_operator.api.release import FrozenIndex
from lockstep_operator.api.status import GateVerdict
from lockstep_operator.decide.context.plan import reference
from lockstep_operator.decide.context.waits import REFUSED_AGAIN_SECONDS
from lockstep_operator.decide.gates.limits import as_shown, settle, undecided
from lockstep_operator.decide.gates.live import GateCheck, Judge, Look, problem_of, unmeasured
from lockstep_operator.decide.jobs.job_labels import analysis_of, attempt_of, gate_of, kind_of
from lockstep_operator.decide.jobs.job_status import JobState, Report, ended_at, is_over, read_job
from lockstep_operator.decide.vocabulary.clock import seconds_since
from lockstep_operator.decide.vocabulary.formatting import UNMEASURED
from lockstep_operator.manifests import JobInputs, JobKind, attempt_job, job_name


def replayed(check: GateCheck, judge: Judge) -> Look:
    """The replays so far, judged as `ReplayFacts`; starts the next one when it is due."""
    gate, index = check.gate, _index(check)
    if isinstance(index, str):
        return Look(as_shown(gate, undecided(gate, unmeasured(gate, index))))
    jobs = _jobs(check)
    ours = [job for job in jobs if analysis_of(job) == _id(check)]
    reports = [_read(check, job) for job in ours]
    verdicts = [
        verdict
        for job, report in zip(ours, reports, strict=True)
        if (verdict := _verdict(gate, index, job, report, judge)) is not None
    ]
    settled = settle(gate, verdicts)
    if settled is not None:
        return Look(settled)
    if len(verdicts) < len(ours):
        return Look(None, _trouble(check, reports[-1]) or problem_of(verdicts))
    return _next(check, index, jobs, ours, verdicts)


def _id(check: GateCheck) -> str:
    """The analysis with the gate as it stands: other bounds are measured anew."""
    return f"{check.analysis}/{check.series.gate.rpartition('-')[2]}"


def _jobs(check: GateCheck) -> list[Object]:
    """All replays of the gate, of every analysis of this release, by attempt."""
    jobs = [
        job
        for job in check.context.snapshot.children("Job", check.release.uid)
        if kind_of(job) == JobKind.REPLAY and gate_of(job) == check.gate.name
    ]
    return sorted(jobs, key=attempt_of)


def _index(check: GateCheck) -> FrozenIndex | str:
    """The index to search, or why nothing can be searched."""
    if check.release.spec.held_out is None:
        return f"not measured: {UNMEASURED}, and there are no queries to ask"
    indexes, wanted = check.release.spec.indexes, check.gate.index
    names = ", ".join(index.name for index in indexes) or "none"
    if wanted is None and len(indexes) == 1:
        return indexes[0]
    if wanted is None:
        return f"not measured: set `index` to one of the indexes of this release: {names}"
    named = next((index for index in indexes if index.name == wanted), None)
    return named or f"not measured: no index {wanted} in this release; its indexes are: {names}"


def _read(check: GateCheck, job: Object) -> Report:
    snapshot = check.context.snapshot
    pods, events = snapshot.pods_of_job(job), snapshot.observed.events
    report = read_job(job, pods, JobKind.REPLAY, snapshot.now, events)
    if report.look_again_in is not None:
        check.context.wake_in(report.look_again_in)
    return report


def _verdict(
    gate: Gate, index: FrozenIndex, job: Object, report: Report, judge: Judge
) -> GateVerdict | None:
    """None while the Job may still measure something."""
    name, facts = job["metadata"]["name"], report.result.replay if report.result else None
    if report.state is JobState.FAILED:
        why = f"Job {name} did not measure: {report.reason}: {report.message}"
        verdict = unmeasured(gate, why)
    elif report.state is not JobState.COMPLETE:
        return None
    elif facts is None:
        verdict = unmeasured(gate, f"Job {name} ended well without a measurement")
    elif (facts.index, facts.k) != (index.name, gate.neighbours):
        why = f"the replay measured recall@{facts.k} of index {facts.index}, not what was asked"
        verdict = unmeasured(gate, why)
    else:
        verdict = judge(gate, facts)
    return verdict.replace(observed_at=ended_at(job))


def _trouble(check: GateCheck, report: Report) -> str | None:
    """Why a Job that is there does not come to measure."""
    if report.state in (JobState.STUCK, JobState.QUEUED):
        return report.message
    return None


def _next(
    check: GateCheck,
    index: FrozenIndex,
    jobs: Sequence[Object],
    ours: Sequence[Object],
    verdicts: Sequence[GateVerdict],
) -> Look:
    """Starts another replay once it is due, and no other one of this gate is alive."""
    context, release = check.context, check.release
    last = ended_at(ours[-1]) if ours else None
    wait = check.until(last) if last is not None else 0.0
    alive = [job for job in jobs if not is_over(job)]
    context.delete.extend(
        reference(job) for job in alive if "deletionTimestamp" not in job["metadata"]
    )
    if wait > 0 or alive:
        context.wake_in(wait or 1.0)
        return Look(None, problem_of(verdicts))
    attempt = (attempt_of(jobs[-1]) if jobs else 0) + 1
    name = job_name(release.name, JobKind.REPLAY, attempt, check.gate.name)
    refusal, job = context.snapshot.refusal("Job", name), _job(check, index, attempt)
    if refusal is None:
        context.create.append(job)
        return Look(None, problem_of(verdicts))
    why = f"the API server refused Job {name}: {refusal.message}"
    limit = context.model.spec.rollout.progress_deadline_seconds
    if seconds_since(check.started_at, context.snapshot.now) >= limit:
        return Look(as_shown(check.gate, undecided(check.gate, unmeasured(check.gate, why))))
    context.create.append(job)
    context.wake_in(REFUSED_AGAIN_SECONDS)
    return Look(None, why)


def _job(check: GateCheck, index: FrozenIndex, attempt: int) -> Object:
    context = check.context
    inputs = JobInputs(
        model=context.model,
        release=check.release,
        attempt=attempt,
        index=index,
        gate=check.gate,
        analysis=_id(check),
    )
    secrets = context.snapshot.settings.image_pull_secrets
    return attempt_job(JobKind.REPLAY, inputs, pull_secrets=secrets)
