"""The corpus of bad inputs, each through `validate`; and good files with changed bytes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lockstep_core.protocol.result import Result
from lockstep_trainer.commands.validate import validate
from lockstep_trainer.validation.report import ValidationReport
from tests.unit.trainer.bad_inputs.corner import Corner
from tests.unit.trainer.bad_inputs.making import Bad
from tests.unit.trainer.bad_inputs.table import CORPUS

pytestmark = pytest.mark.unit


def test_the_corpus_is_large_and_without_repetition() -> None:
    assert len(CORPUS) >= 60
    assert len({bad.name for bad in CORPUS}) == len(CORPUS)
    assert {bad.code for bad in CORPUS} == {2, 3}


@pytest.mark.parametrize("bad", CORPUS, ids=[bad.name for bad in CORPUS])
def test_each_bad_input_is_refused_with_its_fix(
    tmp_path: Path,
    bad: Bad,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOCKSTEP_TERMINATION_PATH", str(tmp_path / "termination"))
    corner = Corner.make(tmp_path / "store")
    bad.make(corner)
    code = validate(corner.config_file())
    out, told = capsys.readouterr()
    report = ValidationReport.model_validate_json(out)
    assert code == report.exit_code == bad.code, told
    assert "Traceback" not in out + told
    assert report.errors and all(each.fix for each in report.errors)
    said = "\n".join(report.lines())
    assert said in told
    for word in bad.words:
        assert word in said
    kept = Result.from_json((tmp_path / "termination").read_text())
    assert (kept.exit_code, kept.reason) == (code, report.reason)


@pytest.mark.parametrize("make", ["npz", "parquet", "lines", "folder"])
def test_the_sets_that_are_spoilt_are_good(
    tmp_path: Path, make: str, capsys: pytest.CaptureFixture[str]
) -> None:
    corner = Corner.make(tmp_path)
    getattr(corner, make)()
    assert validate(corner.config_file()) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["errors"] == []
    assert report["training"]["items"] + report["heldOut"]["items"] == 24


flips = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4)


@pytest.mark.parametrize("make", ["npz", "parquet", "lines", "folder"])
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(share=st.one_of(st.just(1.0), st.floats(0, 1)), changes=flips)
def test_changed_bytes_never_end_in_a_traceback(
    tmp_path_factory: pytest.TempPathFactory,
    make: str,
    capsys: pytest.CaptureFixture[str],
    share: float,
    changes: list[tuple[float, int]],
) -> None:
    corner = Corner.make(tmp_path_factory.mktemp("store"))
    made = getattr(corner, make)() or corner.root / "set.npz"
    victim = made if made.is_file() else sorted(made.rglob("*.png"))[3]
    data = bytearray(victim.read_bytes())
    for where, value in changes:
        data[int(where * len(data))] = value
    victim.write_bytes(data[: int(share * len(data))])
    code = validate(corner.config_file())
    out, told = capsys.readouterr()
    assert code in (0, 2, 3), told
    assert ValidationReport.model_validate_json(out).exit_code == code
    assert "Traceback" not in out + told
