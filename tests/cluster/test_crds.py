"""The CRDs on a real API server: what users see, and what the server keeps and refuses."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from lockstep_operator.api.crd import KINDS, Kind
from lockstep_operator.api.index import VectorIndexSpec
from lockstep_operator.api.model import EmbeddingModelSpec
from tests.cluster.support.bad_policies import GOOD_POLICY
from tests.cluster.support.control_plane import ControlPlane
from tests.cluster.support.specs import BUCKET, GOOD_INDEX, GOOD_MODEL, MISSING, spoiled
from tests.unit.api.support.statuses import SAMPLES
from tests.unit.manifests.support import samples

GOOD_RELEASE: dict[str, Any] = {
    "apiVersion": "lockstep.dev/v1alpha1",
    "kind": "EmbeddingRelease",
    "metadata": {"name": "glyphs-r1"},
    "spec": samples.release_spec(),
}
GOOD = {found["kind"]: found for found in (GOOD_MODEL, GOOD_INDEX, GOOD_POLICY, GOOD_RELEASE)}

each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)


def create(control_plane: ControlPlane, namespace: str, found: object) -> dict[str, Any]:
    done = control_plane.kubectl("create", "-n", namespace, "-o", "json", "-f", "-", stdin=found)
    stored: dict[str, Any] = json.loads(done.stdout)
    return stored


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("em.spec.training.mining", "Choice of triplets"),
        ("em.spec.training.mining.strategy", "FaceNet"),
        ("em.spec.artifacts.claimName", "PersistentVolumeClaim"),
        ("em.spec.rollout.gates", "Checks that a candidate must pass"),
        ("vix.spec.objectives.recall.min", "lower confidence bound"),
        ("er", "read it, and change its EmbeddingModel instead"),
    ],
)
def test_explain_describes_fields(control_plane: ControlPlane, path: str, words: str) -> None:
    # The server publishes its OpenAPI a moment after a CRD is established.
    for _ in range(20):
        text = " ".join(control_plane.kubectl("explain", path, check=False).stdout.split())
        if words in text:
            break
        time.sleep(0.5)
    assert words in text


@each_kind
def test_short_names_and_the_category_list_objects(
    control_plane: ControlPlane, namespace: str, kind: Kind
) -> None:
    create(control_plane, namespace, GOOD[kind.kind])
    for word in (kind.short, "lockstep"):
        done = control_plane.kubectl("get", word, "-n", namespace, "-o", "name")
        assert f"{kind.kind.lower()}.lockstep.dev/" in done.stdout


@each_kind
def test_a_new_object_has_not_been_observed(
    control_plane: ControlPlane, namespace: str, kind: Kind
) -> None:
    stored = create(control_plane, namespace, GOOD[kind.kind])
    assert stored["status"] == {"observedGeneration": -1}
    assert stored["metadata"]["generation"] == 1


@each_kind
def test_the_server_keeps_every_field_of_a_status(
    control_plane: ControlPlane, namespace: str, kind: Kind
) -> None:
    name = create(control_plane, namespace, GOOD[kind.kind])["metadata"]["name"]
    control_plane.set_status(kind.plural, name, namespace, SAMPLES[kind.kind])
    stored = control_plane.get(kind.plural, name, namespace)
    assert stored["status"] == SAMPLES[kind.kind]
    assert stored["metadata"]["generation"] == 1


@each_kind
def test_columns_show_the_status(control_plane: ControlPlane, namespace: str, kind: Kind) -> None:
    name = create(control_plane, namespace, GOOD[kind.kind])["metadata"]["name"]
    control_plane.set_status(kind.plural, name, namespace, SAMPLES[kind.kind])
    shown = control_plane.kubectl("get", kind.plural, "-n", namespace, "-o", "wide").stdout
    header, row = shown.splitlines()
    assert header.split() == ["NAME", *(column.name.upper() for column in kind.columns)]
    assert "<none>" not in row and SAMPLES[kind.kind]["message"] in row
    narrow = control_plane.kubectl("get", kind.plural, "-n", namespace).stdout.splitlines()[0]
    wide = [column.name.upper() for column in kind.columns if column.wide]
    assert not set(wide) & set(narrow.split())


def test_the_servers_defaults_are_those_of_the_models(
    control_plane: ControlPlane, namespace: str
) -> None:
    model = spoiled(
        GOOD_MODEL,
        {
            **{f"spec.training.{part}": MISSING for part in ("loss", "mining", "batch")},
            **{f"spec.{part}": MISSING for part in ("serving", "rollout")},
            "spec.training.template": MISSING,
            "spec.training.data.split": MISSING,
        },
    )
    index = spoiled(
        GOOD_INDEX,
        {f"spec.{part}": MISSING for part in ("index", "objectives", "replicas")},
    )
    stored = create(control_plane, namespace, model)["spec"]
    assert stored["serving"]["replicas"] == 1 and stored["training"]["batch"]["classes"] == 32
    assert EmbeddingModelSpec.model_validate(stored) == EmbeddingModelSpec.model_validate(
        model["spec"]
    )
    stored = create(control_plane, namespace, index)["spec"]
    assert stored["index"] == {"type": "HNSW"} and stored["replicas"] == 1
    assert VectorIndexSpec.model_validate(stored) == VectorIndexSpec.model_validate(index["spec"])


@pytest.mark.parametrize(
    ("good", "path"),
    [(GOOD_MODEL, ("serving", "replicas")), (GOOD_INDEX, ("replicas",))],
    ids=["em", "vix"],
)
def test_scale(
    control_plane: ControlPlane, namespace: str, good: dict[str, Any], path: tuple[str, ...]
) -> None:
    create(control_plane, namespace, good)
    plural = next(kind.plural for kind in KINDS if kind.kind == good["kind"])
    control_plane.set_status(plural, "glyphs", namespace, SAMPLES[good["kind"]])
    control_plane.kubectl("scale", plural, "glyphs", "-n", namespace, "--replicas=7")
    value: Any = control_plane.get(plural, "glyphs", namespace)["spec"]
    for part in path:
        value = value[part]
    assert value == 7
    url = f"/apis/lockstep.dev/v1alpha1/namespaces/{namespace}/{plural}/glyphs/scale"
    scale = json.loads(control_plane.kubectl("get", "--raw", url).stdout)
    assert scale["status"] == {"replicas": 2, "selector": SAMPLES[good["kind"]]["selector"]}


@pytest.mark.parametrize(
    ("kind", "selector"),
    [
        ("VectorIndex", "spec.modelRef.name=glyphs"),
        ("EmbeddingRelease", "spec.model=glyphs"),
        ("EmbeddingModel", "status.phase=Progressing"),
    ],
)
def test_field_selectors(
    control_plane: ControlPlane, namespace: str, kind: str, selector: str
) -> None:
    plural = next(k.plural for k in KINDS if k.kind == kind)
    name = create(control_plane, namespace, GOOD[kind])["metadata"]["name"]
    control_plane.set_status(plural, name, namespace, SAMPLES[kind])
    for wanted, found in ((selector, True), (f"{selector}x", False)):
        done = control_plane.kubectl(
            "get", plural, "-n", namespace, "-o", "name", "--field-selector", wanted
        )
        assert (name in done.stdout) is found


def test_a_release_never_changes(control_plane: ControlPlane, namespace: str) -> None:
    create(control_plane, namespace, GOOD_RELEASE)
    patch = {"spec": {"images": {"encoder": "other:1"}}}
    done = control_plane.kubectl(
        *("patch", "er", "glyphs-r1", "-n", namespace, "--type=merge", "-p", json.dumps(patch)),
        check=False,
    )
    assert done.returncode != 0 and "change its model instead" in done.stderr
    control_plane.kubectl("label", "er", "glyphs-r1", "-n", namespace, "a=b")


def test_an_index_keeps_its_model(control_plane: ControlPlane, namespace: str) -> None:
    create(control_plane, namespace, GOOD_INDEX)
    patch = {"spec": {"modelRef": {"name": "other"}}}
    done = control_plane.kubectl(
        *("patch", "vix", "glyphs", "-n", namespace, "--type=merge", "-p", json.dumps(patch)),
        check=False,
    )
    assert done.returncode != 0
    assert "`modelRef.name` must not change" in done.stderr


def test_the_spec_of_a_model_may_change_in_every_part(
    control_plane: ControlPlane, namespace: str
) -> None:
    create(control_plane, namespace, GOOD_MODEL)
    patch = {
        "artifacts": {**BUCKET, "claimName": None},
        "training": {"data": {"uri": "s3://lockstep/d.npz"}, "encoder": {"dimension": 32}},
    }
    control_plane.kubectl(
        *("patch", "em", "glyphs", "-n", namespace, "--type=merge"),
        *("-p", json.dumps({"spec": patch})),
    )
    assert control_plane.get("em", "glyphs", namespace)["metadata"]["generation"] == 2


def test_applying_twice_changes_nothing(control_plane: ControlPlane, namespace: str) -> None:
    for _ in range(2):
        control_plane.kubectl(
            *("apply", "--server-side", "-n", namespace, "-f", "-"), stdin=GOOD_MODEL
        )
    assert control_plane.get("em", "glyphs", namespace)["metadata"]["generation"] == 1


@each_kind
def test_the_server_takes_the_definition_whole(control_plane: ControlPlane, kind: Kind) -> None:
    stored = control_plane.kubectl("get", "crd", f"{kind.plural}.lockstep.dev", "-o", "json")
    conditions = {c["type"]: c["status"] for c in json.loads(stored.stdout)["status"]["conditions"]}
    assert conditions["NamesAccepted"] == conditions["Established"] == "True"
    assert conditions.get("NonStructuralSchema") is None
