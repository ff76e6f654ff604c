"""What the pages name exists: files, modules, commands, fields, labels; reasons in the runbooks."""

from __future__ import annotations

import argparse
import importlib.util
import re
import tomllib
from pathlib import Path

import pytest
import yaml

import devcluster.__main__ as cluster_commands
from lockstep_core.artifacts import ModelManifest
from lockstep_core.protocol import labels, metrics
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.verbs import Verb
from lockstep_encoder import __main__ as encoder_commands
from lockstep_indexer import __main__ as indexer_commands
from lockstep_kubectl.arguments import EXAMPLES, parser
from lockstep_operator.api.drift_actions import Approval, Deed, Trigger
from lockstep_operator.api.drift_policy import DriftPolicySpec, DriftPolicyStatus, State
from lockstep_operator.api.gates import Gate, GateType, OnInconclusive, Verdict
from lockstep_operator.api.index import VectorIndexSpec, VectorIndexStatus
from lockstep_operator.api.model import EmbeddingModelSpec, EmbeddingModelStatus, Phase
from lockstep_operator.api.release import EmbeddingReleaseSpec, EmbeddingReleaseStatus, Stage
from lockstep_operator.api.rollout import Promotion, RolloutSpec, Supersede
from lockstep_operator.api.traffic import RouterName
from lockstep_operator.decide.vocabulary.reasons import Outcome, Reason
from lockstep_operator.runtime import drift_metrics
from lockstep_operator.runtime import metrics as operator_metrics
from lockstep_trainer.commands.arguments import parser as trainer_parser
from tests.unit import documents
from tests.unit.documents import ROOT, calls, contracts, has_field, spans, strange_keys

pytestmark = pytest.mark.unit

EVERY = documents.PAGES
HELPERS = (ROOT / "charts/lockstep/templates/_helpers.tpl").read_text()
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
SPECS = (EmbeddingModelSpec, VectorIndexSpec, EmbeddingReleaseSpec, DriftPolicySpec)
STATUSES = (EmbeddingModelStatus, VectorIndexStatus, EmbeddingReleaseStatus, DriftPolicyStatus)
CONDITIONS = {"Ready", "Reconciling", "Stalled", "Serving", "Paired", "GatesPassed", "IndexFresh"}
CONDITIONS |= {"NoDrift", "BaselineCalibrated", "RecallHolds"}
KINDS = {"EmbeddingModel", "VectorIndex", "EmbeddingRelease", "DriftPolicy"}
WORDS = {
    str(word)
    for words in (Reason, Outcome, Stage, Phase, GateType, Verdict, OnInconclusive)
    for word in words
}
WORDS |= {str(word) for words in (Promotion, RouterName, Supersede) for word in words}
WORDS |= {str(word) for words in (State, Deed, Trigger, Approval) for word in words}
WORDS |= {code.name.title().replace("_", "") for code in ExitCode} | CONDITIONS | KINDS
OF_OTHERS = {"Kustomization"}
OURS = {
    "EmbeddingModel": EmbeddingModelSpec,
    "VectorIndex": VectorIndexSpec,
    "EmbeddingRelease": EmbeddingReleaseSpec,
    "DriftPolicy": DriftPolicySpec,
}
ANYWHERE = contracts((*SPECS, *STATUSES, ModelManifest))
VALUES = yaml.safe_load((ROOT / "charts/lockstep/values.yaml").read_text())
# Fields of other kinds, which pages name beside ours, and files that programs write or read.
FIELDS_OF_OTHERS = {
    "behavior.scaleDown.stabilizationWindowSeconds",
    "requests.cpu",
    "spec.mirroring",
    "status.parents",
    "status.supportedFeatures",
}
FILES_OF_PROGRAMS = {
    *(
        "LICENCES.txt",
        "adapter_config.json",
        "router_config.json",
        "config.json",
        "golden.npz",
        "model.onnx",
        "model.safetensors",
    ),
    *("preprocess.json", "report.html", "report.json", "tokenizer.json"),
    *("features.safetensors", "baseline.json"),
}
PROGRAMS = {
    "lockstep-train": trainer_parser,
    "lockstep-encoder": encoder_commands._parser,
    "lockstep-indexer": indexer_commands._parser,
    "python3 -m devcluster": cluster_commands._parser,
    "kubectl lockstep": parser,
}


def is_accepted(parser: argparse.ArgumentParser, words: list[str]) -> bool:
    """Whether a command line takes the words; a verb without any is one that is talked about."""
    try:
        parser.parse_args([*words, "--help"] if len(words) == 1 else words)
    except SystemExit as end:
        return end.code == 0
    return True


@pytest.mark.parametrize("page", EVERY)
def test_files_and_folders_that_are_named_exist(page: str) -> None:
    written = set(documents.paths(EVERY[page])) - FILES_OF_PROGRAMS
    assert [path for path in written if not documents.exists(path, page)] == []


@pytest.mark.parametrize("page", EVERY)
def test_links_lead_to_pages_and_to_headings_that_exist(page: str) -> None:
    for link, heading in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", EVERY[page]):
        target = (ROOT / page).parent / link if link else ROOT / page
        assert target.exists(), link
        if heading:
            titles = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
            assert heading in slugs, f"{link}#{heading}"


@pytest.mark.parametrize("page", EVERY)
def test_programs_take_the_command_lines(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = EVERY[page].replace("python -m devcluster", "python3 -m devcluster")
    for program, make_parser in PROGRAMS.items():
        for words in calls(text, program):
            accepted = not words or is_accepted(make_parser(), words)
            assert accepted, f"{program} {' '.join(words)}: {capsys.readouterr().err}"


@pytest.mark.parametrize("page", EVERY)
def test_modules_that_are_run_exist_and_know_their_flags(page: str) -> None:
    for module, *words in calls(EVERY[page], "python -m", "python3 -m"):
        spec = importlib.util.find_spec(module)
        assert spec, module
        # A package runs by its `__main__`, and may have no `__init__`.
        places = spec.submodule_search_locations or [str(Path(spec.origin or "").parent)]
        (folder,) = {Path(place).resolve() for place in places}
        assert not spec.submodule_search_locations or (folder / "__main__.py").exists()
        text = "".join(source.read_text() for source in folder.glob("*.py"))
        for flag in (word for word in words if word.startswith("--") and word != "--help"):
            assert f'"{flag}"' in text, f"{module} {flag}"


@pytest.mark.parametrize("page", EVERY)
def test_targets_of_make_exist(page: str) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for target, *_ in filter(None, calls(EVERY[page], "make")):
        assert target in targets, target


@pytest.mark.parametrize("page", EVERY)
def test_pip_installs_this_repository_and_never_a_strangers_namesake(page: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for words in calls(EVERY[page], "pip install"):
        (what,) = [word.strip("'\"") for word in words if not word.startswith("-")][-1:]
        assert what.partition("[")[0] == ".", f"{what}: the project is in no package index"
        extras = re.findall(r"[\w-]+", what.partition("[")[2])
        assert set(extras) <= set(project["optional-dependencies"]), what
        for file in re.findall(r"\S+\.txt", " ".join(words)):
            assert (ROOT / file).exists()


@pytest.mark.parametrize("page", EVERY)
def test_yaml_has_the_keys_of_the_crds(page: str) -> None:
    for found in documents.objects(EVERY[page]):
        if "kind" in found:
            models = [OURS[found["kind"]]] if found["kind"] in OURS else []
            strange = list(strange_keys(found.get("spec"), models)) if models else []
        elif "spec" in found:
            strange = list(strange_keys(found["spec"], SPECS))
        else:
            # A part of a spec: of the contracts that have all of its keys.
            models = [model for model in ANYWHERE if all(has_field([model], [k]) for k in found)]
            assert models, list(found)
            strange = list(strange_keys(found, models))
        assert strange == []


def is_value(path: list[str]) -> bool:
    """Whether the chart has the value `a.b.c`."""
    inner = VALUES
    for key in path:
        if not isinstance(inner, dict) or key not in inner:
            return False
        inner = inner[key]
    return True


def is_in_a_module(path: list[str]) -> bool:
    """Whether `a.b.c` is a module of a program, or a name in one."""
    file, name = "/".join(path), "/".join(path[:-1])
    if any(f"{room}/{file}.py" in documents.files() for room in documents.ROOMS):
        return True
    holders = [ROOT / room / f"{name}.py" for room in documents.ROOMS]
    return any(h.exists() and re.search(rf"\b{path[-1]}\b", h.read_text()) for h in holders)


@pytest.mark.parametrize("page", EVERY)
def test_dotted_names_are_fields_values_of_the_chart_or_modules(page: str) -> None:
    """A package is not named as a module: `training.py` where `training/` is."""
    named = {s for s in spans(EVERY[page]) if re.fullmatch(r"\.?[a-z]\w*(\.[A-Za-z_]+)+", s)}
    for span in named - FIELDS_OF_OTHERS - FILES_OF_PROGRAMS:
        root, *path = span.lstrip(".").split(".")
        if root in ("spec", "status"):
            assert has_field(SPECS if root == "spec" else STATUSES, path), span
        elif not documents.exists(span, page):
            whole = [root, *path]
            known = has_field(ANYWHERE, whole) or is_value(whole) or is_in_a_module(whole)
            known = known or f'define "{span}"' in HELPERS
            assert known or is_domain(span), span


def is_domain(name: str) -> bool:
    return name.rpartition(".")[2] in ("io", "dev", "org", "com")


@pytest.mark.parametrize("page", EVERY)
def test_explained_fields_exist(page: str) -> None:
    for words in filter(None, calls(EVERY[page], "kubectl explain")):
        kind, _, *path = words[0].split(".")
        spec = next(model for name, model in OURS.items() if name.lower() == kind)
        assert has_field([spec], path), words[0]


@pytest.mark.parametrize("page", EVERY)
def test_labels_annotations_metrics_and_variables_exist(page: str) -> None:
    text = EVERY[page]
    known = {str(verb) for verb in Verb} | {"v1alpha1", "validation", *KINDS}
    known |= {
        value.rpartition("/")[2]
        for value in vars(labels).values()
        if isinstance(value, str) and "/" in value
    }
    assert set(re.findall(r"lockstep\.dev/([A-Za-z0-9]+(?:-[a-z]+)*)", text)) <= known
    groups = (metrics.ENCODER, metrics.INDEX, metrics.MONITOR, metrics.JOB)
    series = {metric.name for group in groups for metric in group}
    series |= {
        name
        for family in operator_metrics.REGISTRY.collect()
        for name in (family.name, f"{family.name}_total")
    }
    series |= {row.name for row in drift_metrics.ROWS}
    packages = {path.name for path in ROOT.glob("*/lockstep_*")} | {"lockstep_dev_model"}
    assert set(re.findall(r"\blockstep_[a-z0-9_]+", text)) <= series | packages
    code = "".join(path.read_text() for path in ROOT.glob("*/lockstep_*/**/*.py"))
    for variable in re.findall(r"\b(?:LOCKSTEP|DEVCLUSTER)_[A-Z_]+", text):
        sources = code if variable.startswith("LOCKSTEP") else DEVCLUSTER
        assert f'"{variable}"' in sources, variable


DEVCLUSTER = "".join(path.read_text() for path in (ROOT / "devcluster").rglob("*.py"))


def test_the_table_of_the_clusters_verbs_is_whole() -> None:
    (verbs,) = (
        action.choices
        for action in cluster_commands._parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    rows = re.findall(r"^\| (`.*?) \|", EVERY["devcluster/README.md"], re.MULTILINE)
    told = {span.split()[0] for row in rows for span in re.findall(r"`([^`]+)`", row)}
    assert set(verbs) <= told


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
    assert calls(PAGES[page], "kubectl lockstep")
    for words in calls(PAGES[page], "kubectl lockstep"):
        if words:
            parser().parse_args(words)


def test_examples_of_the_plugin_are_ones_that_it_takes() -> None:
    found = re.findall(r"^  kubectl lockstep (.*?)   ", EXAMPLES, re.MULTILINE)
    assert len(found) == 12
    verbs = {parser().parse_args(words.split()).verb for words in found}
    assert verbs == {*map(str, Verb), "resume", "status", "history", "gates", "recall"}


@pytest.mark.parametrize("page", PAGES)
def test_annotations_links_and_files_that_are_named_exist(page: str) -> None:
    text = PAGES[page]
    known = {str(verb) for verb in Verb} | {"release", "rebaseline", "approve", "v1alpha1"}
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
    Reason.FAILED_CREATE,
    Reason.NO_POD,
    Reason.FAILED_MOUNT,
    Reason.FAILED_ATTACH_VOLUME,
    Reason.FAILED_CREATE_POD_SANDBOX,
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
