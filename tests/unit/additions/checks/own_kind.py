"""The toy kind is watched, read, acted on, told of in its status, and has its CRD and rights."""

from __future__ import annotations

import re
from pathlib import Path

import kopf
import yaml

from lockstep_operator import handlers
from lockstep_operator.api import crd
from lockstep_operator.api.kinds import AGGREGATE, ENTRY_ALIAS, WATCHED
from tests.unit.api import test_kinds
from tests.unit.decide.worlds import World, healthy
from tests.unit.decide.worlds.specs import own_object

SPEC = {"modelRef": {"name": "glyphs"}, "service": "search"}
ALIAS = "EntryAlias", "search"


def with_alias(world: World, **changes: object) -> World:
    world.create(own_object(*ALIAS, SPEC | changes) | {"status": {"observedGeneration": -1}})
    return world


def test_it_is_watched_and_of_its_model() -> None:
    assert ENTRY_ALIAS in WATCHED and ENTRY_ALIAS in AGGREGATE and handlers.WATCHED is WATCHED
    registered = kopf.get_default_registry()._watching.get_all_handlers()
    assert "on_EntryAlias" in {handler.id for handler in registered}
    assert ENTRY_ALIAS.model_of({"metadata": {"name": "x"}, "spec": SPEC}) == "glyphs"


def test_it_is_acted_on_and_told_of() -> None:
    world = with_alias(healthy()).run()
    service = world.objects["Service", "search"]
    assert service["spec"]["selector"]["lockstep.dev/release"] == "glyphs-r1"
    status = world.objects[ALIAS]["status"]
    assert (status["phase"], status["release"]) == ("Healthy", "glyphs-r1")
    assert [c["type"] for c in status["conditions"]] == ["Ready"]
    world.change_model("training.seed", 7).run()
    service = world.objects["Service", "search"]
    assert service["spec"]["selector"]["lockstep.dev/release"] == "glyphs-r2"
    assert world.objects[ALIAS]["status"]["release"] == "glyphs-r2"
    world.remove("EmbeddingModel", "glyphs")
    world.settle()
    assert world.objects[ALIAS]["status"]["message"] == "There is no EmbeddingModel glyphs."


def test_one_that_cannot_be_read_is_told_and_left_alone() -> None:
    world = with_alias(healthy(), service=7).run()
    assert world.objects[ALIAS]["status"]["phase"] == "Degraded"
    assert "`spec.service` (7)" in world.objects[ALIAS]["status"]["message"]
    assert ("Service", "search") not in world.objects and world.stage(1) == "Serving"


def test_it_has_a_crd_and_rights() -> None:
    assert crd.main([]) == 0
    generated = yaml.load(Path("crds/lockstep.dev_entryaliases.yaml").read_text(), yaml.CSafeLoader)
    definition = generated["spec"]
    assert definition["names"]["shortNames"] == ["ea"]
    assert "status" in definition["versions"][0]["subresources"]
    assert Path("charts/lockstep/templates/crds/lockstep.dev_entryaliases.yaml").is_file()
    test_kinds.test_every_kind_of_ours_has_its_definition_and_no_other()
    scopes = test_kinds.Scope
    cluster = (scopes.WATCHED, scopes.CLUSTER)
    test_kinds.test_the_chart_grants_what_the_rows_ask_for(("ClusterRole", "x"), cluster)
    test_kinds.test_the_chart_grants_what_the_rows_ask_for(("Role", "x"), (scopes.WATCHED,))
    helpers = Path("charts/lockstep/templates/_helpers.tpl").read_text()
    people = re.search(r'define "lockstep.kindsOfPeople" -}}\n(.*)\n', helpers)
    assert people is not None and "entryaliases" in people[1].split(", ")
