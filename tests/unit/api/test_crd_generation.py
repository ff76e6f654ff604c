"""The generated CRDs: up to date, small, complete, and with columns that show something."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from lockstep_operator.api import crd
from lockstep_operator.api.crd import KINDS, Kind
from lockstep_operator.api.drift_policy import DriftPolicySpec, TargetReference
from lockstep_operator.api.schema import structural, unbounded, walk
from tests.unit.api.support.statuses import SAMPLES
from tests.unit.manifests.support import samples

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
SPECS = {
    "EmbeddingModel": samples.model().spec.to_wire(),
    "VectorIndex": samples.index().spec.to_wire(),
    "EmbeddingRelease": samples.release().spec.to_wire(),
    "DriftPolicy": DriftPolicySpec(target_ref=TargetReference(name="glyphs")).to_wire(),
}

each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)


def sample(kind: Kind) -> dict[str, Any]:
    return {
        "metadata": {"name": "glyphs", "creationTimestamp": "2026-01-31T12:00:00Z"},
        "spec": SPECS[kind.kind],
        "status": SAMPLES[kind.kind],
    }


def follow(found: Any, path: str) -> Any:
    for part in path.removeprefix(".").split("."):
        found = found[part]
    return found


def test_generated_files_are_those_committed() -> None:
    for path, text in crd.files(ROOT).items():
        assert path.read_text("utf-8") == text, f"{path}: run `python -m lockstep_operator.api.crd`"
    assert crd.main(["--check", "--root", str(ROOT)]) == 0


def test_check_names_a_stale_file_and_writing_repairs_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert crd.main(["--check", "--root", str(tmp_path)]) == 1
    assert "lockstep.dev_embeddingmodels.yaml is out of date" in capsys.readouterr().out
    assert crd.main(["--root", str(tmp_path)]) == 0
    assert crd.main(["--check", "--root", str(tmp_path)]) == 0


@each_kind
def test_yaml_says_what_the_definition_says(kind: Kind) -> None:
    text = crd.render(kind)
    assert yaml.safe_load(text) == crd.definition(kind)
    # YAML 1.1 takes a bare `n` for a boolean, and anchors read badly.
    assert "\n  n:" not in text and " n:\n" not in text.replace("'n':", "") and "&id" not in text


@each_kind
def test_size_leaves_room_for_what_tools_add(kind: Kind) -> None:
    assert len(json.dumps(crd.definition(kind), separators=(",", ":"))) < crd.SIZE_LIMIT


@each_kind
def test_every_field_that_a_user_sets_is_described_and_bounded(kind: Kind) -> None:
    spec = structural(kind.spec)
    assert unbounded(spec) == []
    if kind.kind != "EmbeddingRelease":
        bare = [p for p, n in walk(spec) if not p.endswith(("[]", ".*")) and "description" not in n]
        assert bare == []


@each_kind
def test_every_json_path_finds_something_in_a_full_object(kind: Kind) -> None:
    version = crd.definition(kind)["spec"]["versions"][0]
    paths = [column["jsonPath"] for column in version["additionalPrinterColumns"]]
    paths += [field["jsonPath"] for field in version["selectableFields"]]
    paths += list(version["subresources"].get("scale", {}).values())
    for path in paths:
        assert follow(sample(kind), path) is not None, path


@each_kind
def test_the_samples_fill_every_status_field(kind: Kind) -> None:
    assert set(kind.status.model_json_schema()["properties"]) == set(SAMPLES[kind.kind])


@each_kind
def test_an_unseen_object_is_not_taken_for_current(kind: Kind) -> None:
    schema = crd.definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert schema["properties"]["status"]["default"] == {"observedGeneration": -1}


@each_kind
def test_the_charts_template_is_the_same_crd(kind: Kind) -> None:
    template = crd.render_template(kind)
    plain = [line for line in template.splitlines() if "{{-" not in line]
    assert "\n".join(plain) + "\n" == crd.render(kind)


def test_columns_answer_the_one_on_call() -> None:
    columns = {kind.kind: [column.name for column in kind.columns] for kind in KINDS}
    assert columns["EmbeddingModel"] == [
        *("Phase", "Stable", "Candidate", "Stage", "Step", "Weight"),
        *("Recall", "Gates", "Space", "Message", "Age"),
    ]
    assert columns["VectorIndex"][:4] == ["Model", "Phase", "Release", "Rows"]
    assert columns["EmbeddingRelease"][:4] == ["Model", "Stage", "Space", "Cause"]
    assert columns["DriftPolicy"][:5] == ["Model", "State", "Release", "MMD", "Tolerance"]
