"""The chart's guard of what serves, by the word of a real API server and its garbage collector."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lockstep_operator.api.release import Stage
from lockstep_operator.decide.stage_table import STAGE_TABLE
from tests.cluster.support.chart import Helm
from tests.cluster.support.control_plane import ControlPlane
from tests.cluster.support.models import model
from tests.unit.manifests.support import samples

OPERATOR = "system:serviceaccount:lockstep-system:lockstep-operator"
KINDS = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
RELEASE: dict[str, Any] = {
    "apiVersion": "lockstep.dev/v1alpha1",
    "kind": "EmbeddingRelease",
    "metadata": {"name": "glyphs-r1"},
    "spec": samples.release_spec(),
}


class Guarded:
    """A namespace where the guard holds, with a model and its release."""

    def __init__(self, control_plane: ControlPlane, namespace: str) -> None:
        self.control_plane, self.namespace = control_plane, namespace
        self.try_it("create", "-f", "-", stdin=model("glyphs"))
        self.uid = control_plane.get("em", "glyphs", namespace)["metadata"]["uid"]

    def try_it(self, *words: str, stdin: object = None, check: bool = True) -> str:
        """What kubectl said, right or wrong."""
        place = ("-n", self.namespace)
        done = self.control_plane.kubectl(*words, *place, stdin=stdin, check=check)
        return done.stdout + done.stderr

    def release_in(self, stage: str, *, owned: bool = True) -> None:
        owner = {
            "apiVersion": "lockstep.dev/v1alpha1",
            "kind": "EmbeddingModel",
            "name": "glyphs",
            "uid": self.uid,
        }
        owners = {"ownerReferences": [owner]} if owned else {}
        made = {**RELEASE, "metadata": {**RELEASE["metadata"], **owners}}
        self.try_it("create", "-f", "-", stdin=made)
        self.control_plane.set_status("er", "glyphs-r1", self.namespace, {"stage": stage})

    def delete(self, *more: str) -> str:
        return self.try_it("delete", "er/glyphs-r1", "--wait=false", *more, check=False)

    def is_there(self) -> bool:
        return "glyphs-r1" in self.try_it("get", "er", "-o", "name")


@pytest.fixture
def guarded(control_plane: ControlPlane, namespace: str) -> Iterator[Guarded]:
    """The guard of one namespace, in force."""
    values = (f"watchNamespaces={{{namespace}}}", f"fullnameOverride=guard-{namespace}")
    rendered = Helm.find(4).objects(*values, "serviceAccount.name=lockstep-operator")
    objects = [found for found in rendered if found["kind"] in KINDS]
    assert len(objects) == 2
    stdin = {"apiVersion": "v1", "kind": "List", "items": objects}
    control_plane.kubectl("apply", "--server-side", "-f", "-", stdin=stdin)
    found = Guarded(control_plane, namespace)
    try:
        yield found
    finally:
        control_plane.kubectl("delete", "-f", "-", stdin=stdin)


def wait_until(holds: Callable[[], bool], what: str) -> None:
    for _ in range(120):
        if holds():
            return
        time.sleep(0.25)
    raise AssertionError(f"not within 30 s: {what}")


def wait_for_the_guard(guarded: Guarded) -> None:
    """The API server takes a policy in a moment later."""
    wait_until(lambda: "may answer users" in guarded.delete("--dry-run=server"), "the guard holds")


def test_it_guards_the_stages_in_which_a_release_may_answer() -> None:
    policy = next(o for o in Helm.find(4).objects() if o["kind"] == KINDS[0])
    expression = policy["spec"]["validations"][0]["expression"]
    guarded = set(json.loads(re.findall(r"\[.*\]", expression)[0]))
    answering = {s for s, facts in STAGE_TABLE.items() if facts.serves or facts.may_take_share}
    assert guarded == {str(stage) for stage in answering}
    assert Stage.SERVING in guarded and Stage.RETAINED not in guarded


def test_the_server_finds_no_fault_in_its_types(guarded: Guarded) -> None:
    name = f"guard-{guarded.namespace}.lockstep-system"

    def checked() -> Any:
        done = guarded.control_plane.kubectl("get", KINDS[0], name, "-o", "json")
        return json.loads(done.stdout).get("status", {})

    wait_until(lambda: "observedGeneration" in checked(), "the policy is checked")
    assert checked().get("typeChecking", {}).get("expressionWarnings", []) == []


def test_what_serves_is_deleted_only_by_who_says_so(guarded: Guarded) -> None:
    guarded.release_in("Serving")
    wait_for_the_guard(guarded)
    said = guarded.delete()
    assert "EmbeddingRelease glyphs-r1 is Serving and may answer users" in said
    collection = f"/apis/lockstep.dev/v1alpha1/namespaces/{guarded.namespace}/embeddingreleases"
    guarded.control_plane.kubectl("delete", "--raw", collection, check=False)
    assert guarded.is_there()
    (command,) = re.findall(r"kubectl (annotate .*)$", said.strip())
    guarded.control_plane.kubectl(*command.split())
    guarded.delete()
    assert not guarded.is_there()


def test_what_does_not_answer_is_deleted_as_ever(guarded: Guarded) -> None:
    guarded.release_in("Serving")
    wait_for_the_guard(guarded)
    guarded.control_plane.set_status("er", "glyphs-r1", guarded.namespace, {"stage": "Failed"})
    guarded.delete()
    assert not guarded.is_there()


def test_the_owner_stays_until_someone_says_so(guarded: Guarded) -> None:
    guarded.release_in("Serving")
    wait_for_the_guard(guarded)
    patch = ("patch", "er/glyphs-r1", "--type=merge", "-p")
    disown = json.dumps({"metadata": {"ownerReferences": None}})
    said = guarded.try_it(*patch, disown, check=False)
    assert "would lose its ownerReference" in said and "lockstep.dev/allow-delete=true" in said
    guarded.try_it("label", "er/glyphs-r1", "team=search")
    guarded.try_it("annotate", "er/glyphs-r1", "lockstep.dev/allow-delete=true")
    guarded.try_it(*patch, disown)
    found = guarded.control_plane.get("er", "glyphs-r1", guarded.namespace)
    assert "ownerReferences" not in found["metadata"]


def test_a_record_without_an_owner_is_taken_back(guarded: Guarded) -> None:
    guarded.release_in("Serving", owned=False)
    wait_for_the_guard(guarded)
    owner = {"apiVersion": "lockstep.dev/v1alpha1", "kind": "EmbeddingModel", "name": "glyphs"}
    owners = [owner | {"uid": guarded.uid}]
    patch = json.dumps({"metadata": {"ownerReferences": owners}})
    guarded.try_it("patch", "er/glyphs-r1", "--type=merge", "-p", patch)


def test_the_operator_is_not_hindered(guarded: Guarded) -> None:
    guarded.release_in("Serving")
    wait_for_the_guard(guarded)
    words = ("create", "rolebinding", "all", "--clusterrole=cluster-admin")
    guarded.try_it(*words, "--serviceaccount=lockstep-system:lockstep-operator")
    wait_until(
        lambda: "deleted" in guarded.delete("--dry-run=server", f"--as={OPERATOR}"),
        "the operator may delete",
    )


@pytest.mark.parametrize("cascade", ["background", "foreground"])
def test_deleting_the_model_deletes_what_serves(guarded: Guarded, cascade: str) -> None:
    guarded.release_in("Serving")
    wait_for_the_guard(guarded)
    guarded.try_it("delete", "em/glyphs", f"--cascade={cascade}", "--wait=false")
    wait_until(lambda: not guarded.is_there(), "garbage collection deletes the release")


def test_the_end_of_a_namespace_deletes_what_serves(guarded: Guarded) -> None:
    guarded.release_in("Serving", owned=False)
    wait_for_the_guard(guarded)
    guarded.control_plane.kubectl("delete", "namespace", guarded.namespace, "--wait=false")
    wait_until(lambda: not guarded.is_there(), "the namespace ends")
    # The fixture deletes it.
    made = ("create", "namespace", guarded.namespace)
    control_plane = guarded.control_plane
    wait_until(lambda: control_plane.kubectl(*made, check=False).returncode == 0, "made again")
