"""What counts as a difference between a manifest and a live object."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep_operator.decide.vocabulary.compare import applied_hash, difference, with_hash

pytestmark = pytest.mark.unit

MANIFEST: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {
        "name": "glyphs-r1-encoder",
        "labels": {"lockstep.dev/model": "glyphs"},
        "ownerReferences": [{"uid": "u1", "kind": "EmbeddingRelease", "controller": True}],
    },
    "spec": {
        "replicas": 2,
        "template": {
            "spec": {
                "hostNetwork": False,
                "automountServiceAccountToken": False,
                "containers": [
                    {
                        "name": "encoder",
                        "args": ["serve", "--x"],
                        "env": [{"name": "A", "value": ""}, {"name": "B", "value": "1"}],
                        "resources": {"requests": {"cpu": "1", "memory": "2Gi"}},
                        "volumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": False}],
                    }
                ],
                "volumes": [{"name": "v", "emptyDir": {}}],
            }
        },
    },
}


def stored() -> dict[str, Any]:
    """As the API server keeps it: defaults added, empties dropped, quantities canonical."""
    live = copy.deepcopy(with_hash(MANIFEST))
    live["metadata"] |= {"uid": "d1", "resourceVersion": "7", "generation": 1}
    live["spec"] |= {"revisionHistoryLimit": 10, "strategy": {"type": "RollingUpdate"}}
    pod = live["spec"]["template"]["spec"]
    del pod["hostNetwork"]
    container = pod["containers"][0]
    container |= {"terminationMessagePath": "/dev/termination-log"}
    del container["env"][0]["value"]
    del container["volumeMounts"][0]["readOnly"]
    container["resources"]["requests"] = {"cpu": "1000m", "memory": "2048Mi"}
    live["status"] = {"readyReplicas": 2}
    return live


def test_what_the_server_adds_drops_or_respells_is_no_difference() -> None:
    assert difference(MANIFEST, stored()) is None


def pod(live: dict[str, Any]) -> Any:
    return live["spec"]["template"]["spec"]


@pytest.mark.parametrize(
    ("edit", "path"),
    [
        (lambda o: o["spec"].update(replicas=3), "spec.replicas"),
        (lambda o: o["metadata"]["labels"].clear(), "metadata.labels.lockstep.dev/model"),
        (
            lambda o: pod(o).pop("automountServiceAccountToken"),
            "spec.template.spec.automountServiceAccountToken",
        ),
        (lambda o: pod(o).update(hostNetwork=True), "spec.template.spec.hostNetwork"),
        (
            lambda o: pod(o)["containers"][0]["args"].append("--evil"),
            "spec.template.spec.containers[0].args",
        ),
        (
            lambda o: pod(o)["containers"][0]["env"].pop(1),
            "spec.template.spec.containers[0].env[1]",
        ),
        (
            lambda o: pod(o)["containers"][0]["resources"]["requests"].update(cpu="2"),
            "spec.template.spec.containers[0].resources.requests.cpu",
        ),
        (lambda o: o["metadata"]["ownerReferences"].clear(), "metadata.ownerReferences[0]"),
    ],
)
def test_a_hand_edit_of_our_field_is_found(
    edit: Callable[[dict[str, Any]], Any], path: str
) -> None:
    live = stored()
    edit(live)
    assert difference(MANIFEST, live) == path


@pytest.mark.parametrize(
    "edit",
    [
        lambda o: o["spec"].update(paused=True),
        lambda o: o["metadata"]["labels"].update(team="search"),
        lambda o: pod(o)["containers"].append({"name": "injected", "image": "proxy"}),
        lambda o: pod(o)["containers"][0]["env"].append({"name": "C", "value": "2"}),
    ],
)
def test_fields_of_others_are_theirs(edit: Callable[[dict[str, Any]], Any]) -> None:
    live = stored()
    edit(live)
    assert difference(MANIFEST, live) is None


def test_a_key_more_in_a_selector_is_another_selector() -> None:
    manifest: dict[str, Any] = {"metadata": {}, "spec": {"selector": {"release": "r1"}}}
    live = with_hash(manifest) | {"spec": {"selector": {"release": "r1", "x": "y"}}}
    assert difference(manifest, live) == "spec.selector"


def test_a_field_that_left_the_manifest_is_found_by_the_hash() -> None:
    smaller = copy.deepcopy(MANIFEST)
    del smaller["spec"]["replicas"]
    assert difference(smaller, stored()) == "metadata.annotations[lockstep.dev/applied-hash]"


@given(st.permutations(list(MANIFEST)))
def test_the_hash_does_not_depend_on_the_order_of_keys(order: list[str]) -> None:
    assert applied_hash({key: MANIFEST[key] for key in order}) == applied_hash(MANIFEST)


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        ("1", "1000m", True),
        ("0.5", "500m", True),
        ("2Gi", "2048Mi", True),
        ("1G", "1000M", True),
        (1, "1", True),
        ("1e3", "1k", True),
        ("1G", "1Gi", False),
        ("nonsense", "rubbish", False),
    ],
)
def test_quantities(ours: Any, theirs: Any, same: bool) -> None:
    manifest: dict[str, Any] = {"metadata": {}, "spec": {"limits": {"x": ours}}}
    live = with_hash(manifest) | {"spec": {"limits": {"x": theirs}}}
    assert (difference(manifest, live) is None) is same


def test_one_is_not_true() -> None:
    manifest: dict[str, Any] = {"metadata": {}, "spec": {"x": 1}}
    assert difference(manifest, with_hash(manifest) | {"spec": {"x": True}}) == "spec.x"
