"""The same objects as Helm 4 and Flux see them (kstatus, CEL), and as `kubectl wait` does."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from cel_expr_python import cel

from tests.unit.gitops.situations import SITUATIONS, model_in, objects_in

pytestmark = pytest.mark.unit

FLUX = Path(__file__).parents[3] / "gitops" / "flux" / "kustomization.yaml"
CHECKS = {
    check["kind"]: check for check in yaml.safe_load(FLUX.read_text())["spec"]["healthCheckExprs"]
}


def kstatus(obj: dict[str, Any]) -> str:
    """The status of a custom resource.

    https://github.com/fluxcd/cli-utils/blob/main/pkg/kstatus/status/generic.go: checkGeneric (a
    deletion, the generation, Reconciling, Stalled), then Ready; without Ready it is Current.
    """
    if obj["metadata"].get("deletionTimestamp"):
        return "Terminating"
    status = obj.get("status") or {}
    observed = status.get("observedGeneration")
    if observed is not None and observed != obj["metadata"]["generation"]:
        return "InProgress"
    conditions = {c["type"]: c["status"] for c in status.get("conditions") or ()}
    if conditions.get("Reconciling") == "True":
        return "InProgress"
    if conditions.get("Stalled") == "True":
        return "Failed"
    return "Current" if conditions.get("Ready", "True") == "True" else "InProgress"


@cache
def expression(text: str) -> Any:
    names = {"status": cel.Type.DYN, "metadata": cel.Type.DYN, "spec": cel.Type.DYN}
    return cel.NewEnv(variables=names).compile(text)


def flux(obj: dict[str, Any]) -> str:
    """As Flux evaluates `healthCheckExprs`.

    https://github.com/fluxcd/pkg/blob/main/runtime/cel/status_evaluator.go: the generation, then
    inProgress, failed and current in this order, and InProgress when none of them holds.
    """
    observed = obj["status"].get("observedGeneration")
    if observed is not None and observed != obj["metadata"]["generation"]:
        return "InProgress"
    check = CHECKS[obj["kind"]]
    for field in ("inProgress", "failed", "current"):
        found = expression(check[field]).eval(data={"status": obj["status"]}).value()
        assert isinstance(found, bool), f"{field}: {found}"
        if found:
            return field[0].upper() + field[1:]
    return "InProgress"


def waited_for(obj: dict[str, Any], type_: str) -> bool:
    """`kubectl wait --for=condition=<type>`, which does not believe a stale condition.

    https://github.com/kubernetes/kubectl/blob/master/pkg/cmd/wait/condition.go
    """
    for condition in (obj.get("status") or {}).get("conditions") or ():
        if condition["type"] == type_:
            observed = condition.get("observedGeneration", obj["status"].get("observedGeneration"))
            stale = observed is not None and observed < obj["metadata"]["generation"]
            return condition["status"] == "True" and not stale
    return False


@pytest.mark.parametrize("name", SITUATIONS)
def test_kstatus_in_every_situation(name: str) -> None:
    assert kstatus(model_in(name)) == SITUATIONS[name][3]


@pytest.mark.parametrize("name", SITUATIONS)
def test_flux_judges_as_kstatus_does(name: str) -> None:
    for obj in objects_in(name):
        if obj["kind"] in CHECKS and not obj["metadata"].get("deletionTimestamp"):
            assert flux(obj) == kstatus(obj), obj["kind"]


@pytest.mark.parametrize("name", SITUATIONS)
def test_kubectl_wait_returns_when_and_only_when_it_is_current(name: str) -> None:
    for obj in objects_in(name):
        if obj["kind"] in CHECKS:
            assert waited_for(obj, "Ready") == (kstatus(obj) == "Current"), obj["kind"]


def test_an_object_that_nobody_has_looked_at_is_not_current() -> None:
    """The race that kstatus has with every operator without a default for its status."""
    for obj in objects_in("just applied"):
        assert obj["status"] == {"observedGeneration": -1}
        assert kstatus(obj) == "InProgress"


def test_users_are_served_whatever_becomes_of_a_candidate() -> None:
    """`Serving` is what a page rests on, `Ready` is not."""
    for name in ("gate failed", "aborted", "rolled back", "at a step", "invalid spec"):
        model = model_in(name)
        assert waited_for(model, "Serving")
        assert not waited_for(model, "Ready")
