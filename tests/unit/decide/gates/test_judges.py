"""Each type of gate has one judge, in the module of its name, and it takes what its row reads."""

from __future__ import annotations

import inspect
from importlib import import_module
from pkgutil import iter_modules

import pytest

from lockstep_core.protocol.result import EvaluationFacts, ReplayFacts
from lockstep_operator.api.gate_rows import (
    EVALUATION,
    QUERY,
    REPLAY,
    SCRAPE,
    SCRAPE_BESIDE,
    SKETCHES,
    GatePhase,
)
from lockstep_operator.api.gates import GATES, Gate, GateType
from lockstep_operator.api.status import GateVerdict
from lockstep_operator.decide import gates
from lockstep_operator.decide.gates.analysis import READINGS
from lockstep_operator.decide.gates.judges import JUDGES, module_of
from lockstep_operator.decide.snapshot.measurements import Answer, Beside, Sketched, Tally

pytestmark = pytest.mark.unit

# What the judge of each reading takes beside the gate.
READ = {
    EVALUATION: EvaluationFacts,
    REPLAY: ReplayFacts,
    SCRAPE: Tally,
    SCRAPE_BESIDE: Beside,
    SKETCHES: Sketched,
    QUERY: Answer,
}


def test_each_type_has_one_judge_and_no_judge_is_without_a_type() -> None:
    assert list(JUDGES) == list(GateType)
    assert len(set(JUDGES.values())) == len(GateType)
    modules = {module.name for module in iter_modules(gates.__path__)}
    judging = {
        name for name in modules if hasattr(import_module(f"{gates.__name__}.{name}"), "judge")
    }
    assert judging == {module_of(kind) for kind in GateType}


@pytest.mark.parametrize("kind", GateType)
def test_a_judge_takes_what_its_row_reads(kind: GateType) -> None:
    reading = GATES[kind].reading
    signature = inspect.signature(JUDGES[kind], eval_str=True)
    takes = [parameter.annotation for parameter in signature.parameters.values()]
    assert takes[:2] == [Gate, READ[reading]]
    assert len(takes) == (3 if reading is EVALUATION else 2)
    assert signature.return_annotation is GateVerdict


def test_every_reading_has_its_phase_and_a_way_to_be_read() -> None:
    assert set(READINGS) == {reading for reading in READ if reading.phase is GatePhase.LIVE}
    assert {row.reading for row in GATES.values()} <= set(READ)
