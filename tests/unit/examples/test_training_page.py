"""docs/training.md names what exists: commands, fields, examples, codes, findings, links."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

from lockstep_core.protocol.config import TrainConfig
from lockstep_core.protocol.exitcodes import RETRYABLE, UNCOUNTED, ExitCode
from lockstep_core.protocol.result import FindingName
from lockstep_core.protocol.training import TrainingSpec
from lockstep_operator.api.gates import Gate
from lockstep_trainer.commands.arguments import parser

pytestmark = pytest.mark.unit

DOCS = Path(__file__).parents[3] / "docs"
TEXT = (DOCS / "training.md").read_text()


def test_the_config_is_one_that_the_trainer_takes() -> None:
    (block,) = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
    config = TrainConfig.model_validate(json.loads(block))
    assert config.training.encoder.matryoshka_dimensions == (64,)


def test_the_gate_is_one_that_the_operator_takes() -> None:
    (block,) = re.findall(r"```yaml\n(spec:\n.*?)```", TEXT, re.DOTALL)
    (gate,) = yaml.safe_load(block)["spec"]["rollout"]["gates"]
    assert Gate.model_validate(gate).min_gain_over_baseline == "0.05"


def test_commands_are_ones_that_the_program_takes() -> None:
    (block,) = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    typed = re.findall(r"^lockstep-train (.*)$", block, re.MULTILINE)
    assert [parser().parse_args(shlex.split(words)).command for words in typed] == [
        "validate",
        "run",
    ]
    assert parser().parse_args(["run", "--start-anew"]).start_anew
    named = set(re.findall(r"`lockstep-train (\w+)", TEXT))
    assert named == {"run", "validate", "evaluate", "export"}


def test_examples_that_are_named_are_there() -> None:
    names = set(re.findall(r"python -m (examples\.\w+)", TEXT))
    assert names == {f"examples.{name}" for name in ("digits", "glyphs", "icons", "places")}
    for name in names:
        assert importlib.util.find_spec(f"{name}.__main__") is not None


def test_exit_codes_say_what_the_operator_does() -> None:
    rows = dict(re.findall(r"^\| (\d+) \|.*\| ([a-z, ]+) \|$", TEXT, re.MULTILINE))
    # The self-check is the encoder's.
    assert set(map(int, rows)) == set(map(int, ExitCode)) - {ExitCode.SELF_CHECK_FAILED}
    for number, answer in rows.items():
        code = ExitCode(int(number))
        retried = "tries again" in answer
        assert retried == (code in RETRYABLE | UNCOUNTED), code
        assert ("uncounted" in answer) == (code in UNCOUNTED)


def test_every_finding_is_explained() -> None:
    section = TEXT.split("## What can go wrong")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == set(map(str, FindingName))


def test_fields_that_are_named_exist() -> None:
    schema = json.dumps(TrainingSpec.model_json_schema(by_alias=True))
    named = set(re.findall(r"`(?:[a-z]\w*\.)*([a-z]+[A-Z]\w*)`", TEXT)) - {"releaseUID"}
    assert {"perClass", "skipHardest", "minVariance"} <= named
    missing = {name for name in named if f'"{name}"' not in schema}
    assert missing == set()


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", TEXT):
        assert (DOCS / link).exists(), link
    assert "(docs/training.md)" in (DOCS.parent / "README.md").read_text()
