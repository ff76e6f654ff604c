"""What the pages for users and for the person on call name exists: commands, fields, reasons."""

from __future__ import annotations

import importlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.verbs import Verb
from lockstep_kubectl.arguments import EXAMPLES, parser
from lockstep_operator.api.gates import Gate, GateType, OnInconclusive, Verdict
from lockstep_operator.api.index import VectorIndexSpec, VectorIndexStatus
from lockstep_operator.api.model import EmbeddingModelSpec, EmbeddingModelStatus, Phase
from lockstep_operator.api.release import EmbeddingReleaseSpec, EmbeddingReleaseStatus, Stage
from lockstep_operator.api.rollout import Promotion, RolloutSpec, Supersede
from lockstep_operator.api.traffic import RouterName
from lockstep_operator.decide.vocabulary.reasons import Outcome, Reason

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = {
    str(path.relative_to(DOCS)): path.read_text()
    for path in (DOCS / "gitops.md", *sorted((DOCS / "runbooks").glob("*.md")))
}
# The pages that say where things are, and where a path on them begins.
HOUSE = {page: (ROOT / page).read_text() for page in ("docs/architecture.md", "CONTRIBUTING.md")}
OPERATOR = ROOT / "operator/lockstep_operator"
SAID_TO_LACK = {"docs/architecture.md": set(), "CONTRIBUTING.md": {"conftest.py"}}
BASES = (ROOT, OPERATOR, OPERATOR / "decide", ROOT / "tests/unit")
SPECS = (EmbeddingModelSpec, VectorIndexSpec, EmbeddingReleaseSpec)
STATUSES = (EmbeddingModelStatus, VectorIndexStatus, EmbeddingReleaseStatus)
CONDITIONS = {"Ready", "Reconciling", "Stalled", "Serving", "Paired", "GatesPassed", "IndexFresh"}
KINDS = {"EmbeddingModel", "VectorIndex", "EmbeddingRelease"}
WORDS = {
    str(word)
    for words in (Reason, Outcome, Stage, Phase, GateType, Verdict, OnInconclusive)
    for word in words
}
WORDS |= {str(word) for words in (Promotion, RouterName, Supersede) for word in words}
WORDS |= {code.name.title().replace("_", "") for code in ExitCode} | CONDITIONS | KINDS
OF_OTHERS = {"Kustomization"}


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The contracts that a field's type holds, in lists and unions too."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from models_in(inner)


def has_field(models: tuple[type[BaseModel], ...], path: list[str]) -> bool:
    """Whether one of the models has the field `a.b.c`."""
    if not path:
        return True
    for model in models:
        for name, field in model.model_fields.items():
            if (field.alias or name) == path[0]:
                inner = tuple(models_in(field.annotation))
                return has_field(inner, path[1:]) if path[1:] else True
    return False


def commands(text: str) -> list[list[str]]:
    """The words after `kubectl lockstep`, from code blocks and from code within sentences."""
    blocks = "".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    found = re.findall(r"^\s*kubectl lockstep([^#\n]*)", blocks, re.MULTILINE)
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    found += re.findall(r"`kubectl\s+lockstep([^`]*)`", prose)
    return [words.split() for words in found]


@pytest.mark.parametrize("page", PAGES)
def test_fields_that_are_named_exist(page: str) -> None:
    named = re.findall(r"`(?:\.)?(spec|status)\.([A-Za-z.]+)", PAGES[page])
    assert named
    for root, path in named:
        models = SPECS if root == "spec" else STATUSES
        assert has_field(models, path.split(".")), f"{root}.{path}"


@pytest.mark.parametrize("page", PAGES)
def test_reasons_and_states_that_are_named_exist(page: str) -> None:
    named = set(re.findall(r"`([A-Z][A-Za-z]+)`", PAGES[page]))
    assert named - WORDS - OF_OTHERS == set()


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_the_plugin_are_ones_that_it_takes(page: str) -> None:
    assert commands(PAGES[page])
    for words in commands(PAGES[page]):
        if words:
            parser().parse_args(words)


def test_examples_of_the_plugin_are_ones_that_it_takes() -> None:
    found = re.findall(r"^  kubectl lockstep (.*?)   ", EXAMPLES, re.MULTILINE)
    assert len(found) == 11
    verbs = {parser().parse_args(words.split()).verb for words in found}
    assert verbs == {*map(str, Verb), "resume", "status", "history", "gates"}


@pytest.mark.parametrize("page", PAGES)
def test_annotations_links_and_files_that_are_named_exist(page: str) -> None:
    text = PAGES[page]
    known = {str(verb) for verb in Verb} | {"release", "v1alpha1"}
    assert set(re.findall(r"lockstep\.dev/([a-z0-9]+)", text)) <= known
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert ((DOCS / page).parent / link).exists(), link
    for path in re.findall(r"gitops/[-a-z/]+\.yaml", text):
        assert (DOCS.parent / path).exists(), path


def test_the_spec_of_an_approval_is_one_that_is_accepted() -> None:
    (block,) = re.findall(r"```yaml\n(spec:\n.*?)```", PAGES["gitops.md"], re.DOTALL)
    spec = RolloutSpec.model_validate(yaml.safe_load(block)["spec"]["rollout"])
    assert spec.approved_release == "r13" and spec.promotion is Promotion.MANUAL


@pytest.mark.parametrize("page", HOUSE)
def test_files_folders_and_links_of_the_house_exist(page: str) -> None:
    text = HOUSE[page]
    named = re.findall(r"`([\w.-]+(?:/[\w.-]+)+/?|[\w-]+\.(?:py|toml))`", text)
    assert len(named) > 15
    missing = {path for path in named if not any((base / path).exists() for base in BASES)}
    assert missing == SAID_TO_LACK[page]
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert ((ROOT / page).parent / link).exists(), link


@pytest.mark.parametrize("page", HOUSE)
def test_modules_and_names_of_the_house_exist(page: str) -> None:
    for name in re.findall(r"`((?:api|manifests|decide|runtime)(?:\.\w+)+)`", HOUSE[page]):
        assert is_found(f"lockstep_operator.{name}"), name


def is_found(name: str) -> bool:
    """Whether a module, or something in a module, has this dotted name."""
    module, _, attribute = name.rpartition(".")
    try:
        return bool(importlib.import_module(name))
    except ModuleNotFoundError:
        return hasattr(importlib.import_module(module), attribute)


@pytest.mark.parametrize("package", ["lockstep_operator.decide", "lockstep_trainer"])
def test_rooms_stand_on_the_floors_of_the_contract(package: str) -> None:
    """The page lists the rooms in the order in which they may import."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = project["tool"]["importlinter"]["contracts"]
    (layers,) = (c["layers"] for c in contracts if c.get("containers") == [package])
    floors = [set(layer.split(" | ")) - {"__main__"} for layer in layers]
    blocks = re.findall(r"```\n(.*?)```", HOUSE["docs/architecture.md"], re.DOTALL)
    # Rooms of one floor may share a line.
    told = [re.findall(r"(?:^|\|  ?)(\w+)  +", block, re.MULTILINE) for block in blocks]
    (rooms,) = (names for names in told if set(names) == set().union(*floors))
    said = " ".join(HOUSE["docs/architecture.md"].split())
    for layer, floor in zip(layers, floors, strict=True):
        assert set(rooms[: len(floor)]) == floor
        assert package != "lockstep_operator.decide" or layer.replace(" | ", " and ") in said
        rooms = rooms[len(floor) :]


def test_modules_that_the_rooms_of_decide_are_shown_by_exist() -> None:
    text = HOUSE["docs/architecture.md"]
    rooms = re.findall(r"^(\w+)  +.*\((.*)\)$", text, re.MULTILINE)
    assert len(rooms) > 10
    for room, modules in rooms:
        for name in modules.removesuffix(", …").split(", "):
            paths = [OPERATOR / "decide" / room / f"{name}{end}" for end in (".py", "")]
            assert any(path.exists() for path in paths), f"{room}/{name}"


def test_fields_of_gates_that_the_runbook_names_exist() -> None:
    text = PAGES["runbooks/gate-failed.md"]
    for field in ("dryRun", "onInconclusive", "minSamples"):
        assert f"`{field}" in text
        assert has_field((Gate,), [field])


def test_every_reason_that_can_hold_a_release_is_in_a_runbook() -> None:
    """Whoever reads a reason in a status finds it in a runbook."""
    text = "".join(PAGES.values())
    missing = [reason for reason in HELD | FAILED if f"`{reason}`" not in text]
    assert missing == []


HELD = {
    Reason.STEP_PAUSE,
    Reason.APPROVAL_REQUIRED,
    Reason.HELD_AT_STEP,
    Reason.PAUSED,
    Reason.GATE_INCONCLUSIVE,
    Reason.STEPS_REFUSED,
    Reason.QUEUED,
    Reason.RETRYING,
    Stage.WARMING,
    Stage.CANARY,
    Reason.CHANGE_WAITS,
    Stage.ROLLING_BACK,
    Reason.WRITE_REFUSED,
    Reason.NAME_CONFLICT,
    Reason.NO_INDEX,
}
FAILED = {
    Reason.GATE_FAILED,
    Reason.INDEX_RECALL_LOW,
    Reason.ROWS_MISSING,
    Reason.SPACE_MISMATCH,
    Reason.DEADLINE_EXCEEDED,
    Reason.PROGRESS_DEADLINE_EXCEEDED,
    Reason.PODS_NOT_READY,
    Reason.OUT_OF_MEMORY,
    Reason.KILLED,
    Reason.UNSCHEDULABLE,
    Reason.IMAGE_PULL_BACK_OFF,
    Reason.INVALID_IMAGE_NAME,
    Reason.ERR_IMAGE_NEVER_PULL,
    Reason.CREATE_CONTAINER_CONFIG_ERROR,
    Reason.CREATE_CONTAINER_ERROR,
    Reason.RUN_CONTAINER_ERROR,
    Reason.INVALID_SPEC,
    Reason.INVALID_INDEX,
    Reason.ROLLED_BACK,
}
