"""The programs of the pods: every place that has to know one of them does."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from lockstep_operator.__main__ import config_from
from lockstep_operator.api.release import Images
from lockstep_operator.manifests.programs import CHECK, CONTAINER, PROGRAMS, ProgramImage

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
CHART = ROOT / "charts/lockstep"
FIRST = ("trainer", "encoder", "indexer")
# The Deployment of the operator names each program of the values.
LOOP = """
            {{- range $name, $program := omit .Values.programs "imagePullSecrets" }}
            - name: LOCKSTEP_{{ upper $name }}_IMAGE
              value: {{ include "lockstep.image" (list $ $program) }}
            {{- end }}
"""


def text(path: str) -> str:
    return (ROOT / path).read_text("utf-8")


def chart_places(program: ProgramImage) -> Iterator[tuple[str, bool]]:
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))["programs"]
    fields = {"repository": f"lockstep/{program.name}", "tag": "", "digest": ""}
    given = values.get(program.name, {})
    ours = given == fields if program.built else given.keys() == fields.keys()
    yield "charts/lockstep/values.yaml", ours
    schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))["properties"]["programs"]
    described = schema["properties"].get(program.name, {"properties": {}})["properties"]
    yield "charts/lockstep/values.schema.json", described.keys() == fields.keys()
    looped = LOOP in (CHART / "templates/deployment.yaml").read_text("utf-8")
    variable = f"LOCKSTEP_{program.name.upper()}_IMAGE"
    yield "charts/lockstep/templates/deployment.yaml", looped and program.variable == variable
    row = next(line for line in text("charts/lockstep/README.md").splitlines() if "`.enc" in line)
    yield "charts/lockstep/README.md", re.search(rf"\.{program.name}`", row) is not None


def project_places(program: ProgramImage) -> Iterator[tuple[str, bool]]:
    folder, package = f"{program.name}-image", f"lockstep_{program.name}"
    project = tomllib.loads(text("pyproject.toml"))
    tool = project["tool"]
    yield "pyproject.toml: an extra", program.name in project["project"]["optional-dependencies"]
    wheel = tool["hatch"]["build"]["targets"]["wheel"]["packages"]
    yield "pyproject.toml: packages of the wheel", f"{folder}/{package}" in wheel
    yield "pyproject.toml: ruff's src", folder in tool["ruff"]["src"]
    yield "pyproject.toml: mypy_path", folder in tool["mypy"]["mypy_path"].split(":")
    imports = tool["importlinter"]
    yield "pyproject.toml: root_packages of importlinter", package in imports["root_packages"]
    (independent,) = (c for c in imports["contracts"] if c["type"] == "independence")
    yield "pyproject.toml: programs do not import one another", package in independent["modules"]
    yield f"{folder}/Dockerfile", (ROOT / folder / "Dockerfile").is_file()
    images = re.search(r"^IMAGES := (.*)$", text("Makefile"), re.MULTILINE)
    yield "Makefile: IMAGES", images is not None and program.name in images[1].split()
    checked = re.search(r"/mypy (.*)$", text("Makefile"), re.MULTILINE)
    yield "Makefile: mypy", checked is not None and folder in checked[0].split()


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_every_place_knows_the_program(program: ProgramImage) -> None:
    places = {
        "api/release.py: Images": program.name in Images.model_fields,
        **dict(chart_places(program)),
        **dict(project_places(program) if program.built else ()),
    }
    assert [place for place, known in places.items() if not known] == []


def test_no_place_knows_a_program_that_the_table_lacks() -> None:
    names = {program.name for program in PROGRAMS}
    assert set(Images.model_fields) == names
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))["programs"]
    assert set(values) - {"imagePullSecrets"} == names
    variables = re.findall(
        r"LOCKSTEP_(\w+)_IMAGE\b", (CHART / "templates/deployment.yaml").read_text("utf-8")
    )
    assert variables == []  # the loop alone


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_a_program_that_is_added_later_may_lack_in_a_stored_release(program: ProgramImage) -> None:
    assert Images.model_fields[program.name].is_required() == program.required
    assert program.required == (program.name in FIRST)
    Images.model_validate({name: f"{name}:1" for name in FIRST})


@pytest.mark.parametrize("name", FIRST)
def test_the_first_programs_are_required(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    others = [program for program in FIRST if program != name]
    with pytest.raises(ValidationError):
        Images.model_validate({other: f"{other}:1" for other in others})
    flags = [word for other in others for word in (f"--{other}-image", f"{other}:1")]
    with pytest.raises(SystemExit):
        config_from(flags, {})
    variable = f"LOCKSTEP_{name.upper()}_IMAGE"
    assert f"--{name}-image ({variable}) is empty: name an image" in capsys.readouterr().err


def test_the_first_programs_are_built_here() -> None:
    assert {program.name for program in PROGRAMS if program.built} >= set(FIRST)


def test_programs_are_told_apart_by_name_and_sidecars_by_container() -> None:
    assert len({program.name for program in PROGRAMS}) == len(PROGRAMS)
    sidecars = [p.container for p in PROGRAMS if p.container != CONTAINER]
    assert len(set(sidecars)) == len(sidecars) and CHECK not in sidecars
