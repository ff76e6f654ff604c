"""The table of kinds: what the chart grants is what a row asks for, no more and no less."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from lockstep_core.protocol.labels import GROUP
from lockstep_operator.api import crd, kinds
from lockstep_operator.api.kinds import JOB, KINDS, POD, ResourceKind, Scope, Watch, resource_of

pytestmark = pytest.mark.unit

TEMPLATES = Path(__file__).parents[3] / "charts/lockstep/templates"

Right = tuple[str, str, str]
"""API group, resource with its subresource, verb."""


def operator_rules() -> str:
    """The named template: plain YAML, in both scopes the same."""
    helpers = (TEMPLATES / "_helpers.tpl").read_text("utf-8")
    found = re.search(r'define "lockstep.operatorRules" -}}\n(.*?){{- end }}', helpers, re.DOTALL)
    assert found is not None
    return textwrap.indent(found[1], "  ")


def roles() -> dict[tuple[str, str], list[Right]]:
    """The rights of each role of the chart, by kind and the end of its name."""
    text = (TEMPLATES / "rbac.yaml").read_text("utf-8")
    text = re.sub(r'(?m)^.*include "lockstep.operatorRules".*$', lambda _: operator_rules(), text)
    text = re.sub(r"(?m)^(\s*{{-.*?}})+\s*$", "", text)
    documents = yaml.safe_load_all(re.sub(r"{{.*?}}", "x", text))
    return {
        (found["kind"], found["metadata"]["name"]): rights_in(found["rules"])
        for found in documents
        if found and found.get("kind") in ("ClusterRole", "Role")
    }


def rights_in(rules: Iterable[dict[str, Any]]) -> list[Right]:
    return [
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]


def rights_of(*scopes: Scope) -> list[Right]:
    return [
        right
        for kind in KINDS
        if kind.scope in scopes
        for right in (
            *((kind.group, kind.plural, verb) for verb in kind.verbs),
            *((kind.group, f"{kind.plural}/{sub}", verb) for sub, verb in kind.subresources),
        )
    ]


@pytest.mark.parametrize(
    ("role", "scopes"),
    [
        (("ClusterRole", "x"), (Scope.WATCHED, Scope.CLUSTER)),
        (("Role", "x"), (Scope.WATCHED,)),
        (("Role", "x-lease"), (Scope.OWN,)),
    ],
    ids=["cluster", "namespaced", "own"],
)
def test_the_chart_grants_what_the_rows_ask_for(
    role: tuple[str, str], scopes: tuple[Scope, ...]
) -> None:
    assert sorted(roles()[role]) == sorted(rights_of(*scopes))


def test_the_chart_has_no_other_role_of_the_operator() -> None:
    assert len(roles()) == 3


def test_kinds_are_told_apart() -> None:
    assert len({kind.kind for kind in KINDS}) == len(KINDS)
    assert len({(kind.group, kind.plural) for kind in KINDS}) == len(KINDS)


def test_every_kind_of_ours_has_its_definition_and_no_other() -> None:
    assert [kind for kind in KINDS if kind.group == GROUP] == [kind.resource for kind in crd.KINDS]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_what_is_watched_may_be_listed_and_watched(kind: ResourceKind) -> None:
    if kind.watch is not Watch.NEVER:
        assert {"list", "watch"} <= set(kind.verbs)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_what_the_operator_makes_or_removes_it_knows(kind: ResourceKind) -> None:
    """Of what it makes it must find again what a process before it made."""
    if kind is kinds.CONFIG_MAP:
        # Of a name that its owner gives, and removed with its owner.
        assert set(kind.verbs) == {"create", "get", "patch"}
    elif kind.scope is Scope.WATCHED and kind.watch is Watch.NEVER:
        assert not {"patch", "delete"} & set(kind.verbs)
    if kind.removal is not None:
        assert kind in kinds.AGGREGATE and "delete" in kind.verbs


def test_children_are_found_by_the_label_of_their_model() -> None:
    body = {"metadata": {"name": "x", "labels": {"lockstep.dev/model": "glyphs"}}}
    for kind in kinds.AGGREGATE:
        assert kind.group == GROUP or kind.model_of(body) == "glyphs"
        assert (kind.selector is None) == (kind.group == GROUP)


def test_what_serves_goes_before_the_service_and_what_counts_before_what_serves() -> None:
    order = kinds.REMOVED
    assert order.index(kinds.AUTOSCALER) < order.index(kinds.DEPLOYMENT)
    assert order.index(kinds.DEPLOYMENT) < order.index(kinds.SERVICE)


def test_paths_of_the_api() -> None:
    assert POD.path("ns", "p", "status") == "/api/v1/namespaces/ns/pods/p/status"
    assert JOB.path(None) == "/apis/batch/v1/jobs"
    assert resource_of("batch/v1", "Job") is JOB
