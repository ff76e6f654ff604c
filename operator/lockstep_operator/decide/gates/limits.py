"""From measurements to one verdict of a gate: how many must pass, and how many may not."""

from __future__ import annotations

from collections.abc import Sequence

from lockstep_core.quality.verdicts import Verdict
from lockstep_operator.api.gates import Gate, OnInconclusive
from lockstep_operator.api.status import GateVerdict

COUNT, FAILURES, INCONCLUSIVES, ERRORS = 1, 0, 3, 4


def settle(gate: Gate, measured: Sequence[GateVerdict]) -> GateVerdict | None:
    """What the measurements so far decide, None while they leave it open.

    They count in their order, and the first limit that is reached decides: a later measurement
    changes nothing. There is no way to pass without `count` measurements that passed.
    """
    passed = failed = inconclusive = errors = 0
    for one in measured:
        verdict = Verdict(one.verdict)
        # Errors count in a row: a scrape that is lost now and then says nothing of the release.
        errors = errors + 1 if verdict is Verdict.ERROR else 0
        passed += verdict is Verdict.PASS
        failed += verdict is Verdict.FAIL
        inconclusive += verdict is Verdict.INCONCLUSIVE
        if failed > _or(gate.failure_limit, FAILURES):
            return as_shown(gate, _more(one, _times(failed, "failed", gate.failure_limit)))
        if inconclusive > (limit := _or(gate.inconclusive_limit, INCONCLUSIVES)):
            why = f"inconclusive {inconclusive} times, {limit} allowed (`inconclusiveLimit`)"
            return as_shown(gate, undecided(gate, _more(one, why)))
        if errors > (limit := _or(gate.error_limit, ERRORS)):
            why = f"not measured {errors} times in a row, {limit} allowed (`errorLimit`)"
            return as_shown(gate, undecided(gate, _more(one, why)))
        if passed >= _or(gate.count, COUNT):
            return as_shown(gate, _more(one, _times(passed, "passed", gate.count)))
    return None


def looks(gate: Gate) -> int:
    """Measurements that there can be at most, errors apart: each looks at more of the same data."""
    allowed = _or(gate.failure_limit, FAILURES) + _or(gate.inconclusive_limit, INCONCLUSIVES)
    return _or(gate.count, COUNT) + allowed


def confidence_of_a_look(gate: Gate) -> float:
    """The one-sided confidence of each look with which the gate as a whole errs no more often than
    it says, however often it looks.

    To pass wrongly `count` looks must, and to fail wrongly `failureLimit + 1`; of L looks that err
    with probability a each, at least m do with probability at most a L / m (Markov; Bonferroni's
    bound for m = 1). Four looks at 95 % each would err in about 10 % of all analyses.
    """
    wrong = min(_or(gate.count, COUNT), _or(gate.failure_limit, FAILURES) + 1)
    return 1 - (1 - float(gate.one_sided)) * wrong / looks(gate)


def undecided(gate: Gate, verdict: GateVerdict) -> GateVerdict:
    """A verdict that the data did not decide, as `onInconclusive` has it."""
    if gate.on_inconclusive is not OnInconclusive.FAIL:
        return verdict
    failed = verdict.replace(verdict=Verdict.FAIL.value)
    return _more(failed, "fails (`onInconclusive: Fail`)")


def as_shown(gate: Gate, verdict: GateVerdict) -> GateVerdict:
    """A verdict whose line says so when the gate is a dry run."""
    if not gate.dry_run:
        return verdict
    return _more(verdict.replace(dry_run=True), "dry run: not in the way")


def _times(number: int, what: str, limit: int | None) -> str:
    return f"{number} measurements {what}" if limit and number > 1 else ""


def _more(verdict: GateVerdict, words: str) -> GateVerdict:
    return verdict.replace(line=f"{verdict.line}; {words}") if words else verdict


def _or(value: int | None, default: int) -> int:
    return default if value is None else value
