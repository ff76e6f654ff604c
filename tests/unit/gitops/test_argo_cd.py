"""Argo CD's scripts, run by Lua 5.1 as its sandbox runs them: no string, math, io or os."""

from __future__ import annotations

import copy
import runpy
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from lupa import lua51

from lockstep_core.protocol.verbs import Verb, annotation, number_of
from lockstep_operator.api.model import Phase
from tests.unit.decide import worlds
from tests.unit.decide.policies import watched
from tests.unit.decide.worlds.specs import POLICY
from tests.unit.gitops.situations import SITUATIONS, model_in, objects_in, world_of

pytestmark = pytest.mark.unit

FOLDER = Path(__file__).parents[3] / "gitops" / "argo-cd"
CONFIG_MAP = yaml.safe_load((FOLDER / "argocd-cm.yaml").read_text())
HEALTH = CONFIG_MAP["data"]["resource.customizations.health.lockstep.dev_EmbeddingModel"]
ACTIONS = yaml.safe_load(
    CONFIG_MAP["data"]["resource.customizations.actions.lockstep.dev_EmbeddingModel"]
)
# https://github.com/argoproj/argo-cd/blob/master/util/lua/lua.go: base, table, package, a safe os.
KEPT = {"_G", "_VERSION", "assert", "error", "ipairs", "next", "pairs", "pcall", "select", "table"}
KEPT |= {"tonumber", "tostring", "type", "unpack", "xpcall", "setmetatable", "getmetatable"}


def run(script: str, obj: Any) -> Any:
    """The script's answer as Python data."""
    lua = lua51.LuaRuntime(unpack_returned_tuples=True)
    # Lua has no null: what Argo CD decodes as nil is absent.
    lua.globals()["obj"] = to_lua(lua, obj)
    for name in list(lua.globals()):
        if name not in KEPT and name != "obj":
            lua.globals()[name] = None
    return to_python(lua.execute(script))


def to_lua(lua: Any, value: Any) -> Any:
    if isinstance(value, dict):
        table = lua.table()
        for key, found in value.items():
            table[key] = to_lua(lua, found)
        return table
    if isinstance(value, list):
        return lua.table(*(to_lua(lua, found) for found in value))
    return value


def to_python(value: Any) -> Any:
    if lua51.lua_type(value) != "table":
        return value
    keys = list(value)
    if keys and keys == list(range(1, len(keys) + 1)):
        return [to_python(value[key]) for key in keys]
    return {key: to_python(value[key]) for key in keys}


def health(obj: Any) -> tuple[str, str]:
    found = run(HEALTH, obj)
    return found["status"], found["message"]


def offered(obj: Any) -> set[str]:
    found = run(ACTIONS["discovery.lua"], obj)
    assert set(found) == {"promote", "abort", "rollback", "retry", "pause", "resume"}
    return {name for name, action in found.items() if not action["disabled"]}


def act(name: str, obj: Any) -> Any:
    (script,) = [a["action.lua"] for a in ACTIONS["definitions"] if a["name"] == name]
    return run(script, obj)


def test_the_config_map_is_made_of_the_files() -> None:
    made = runpy.run_path(str(FOLDER / "configmap.py"))
    told = "not current: python gitops/argo-cd/configmap.py"
    assert (FOLDER / "argocd-cm.yaml").read_text() == made["render"](), told


@pytest.mark.parametrize("name", SITUATIONS)
def test_health_in_every_situation(name: str) -> None:
    _, phase, judged, _ = SITUATIONS[name]
    model = model_in(name)
    assert model["status"].get("phase") == phase
    status, message = health(model)
    assert status == judged
    assert message


def test_every_phase_is_among_the_situations() -> None:
    assert {phase for _, phase, _, _ in SITUATIONS.values() if phase} == set(Phase)


@pytest.mark.parametrize("name", SITUATIONS)
def test_health_of_indexes_and_releases_is_never_unknown(name: str) -> None:
    for raw in objects_in(name):
        status, message = health(raw)
        assert status in ("Healthy", "Progressing", "Degraded")
        assert message


def test_a_release_that_is_over_keeps_nobody_waiting() -> None:
    over = [raw for raw in objects_in("window over") if raw["status"].get("stage") == "Retired"]
    over += [raw for raw in objects_in("aborted") if raw["status"].get("stage") == "Superseded"]
    assert [health(raw)[0] for raw in over] == ["Healthy", "Healthy"]


def test_the_message_of_a_canary_that_waits_offers_its_commands() -> None:
    status, message = health(model_in("at a step"))
    assert status == "Progressing"
    assert "lockstep.dev/promote=r2" in message and "lockstep.dev/abort=r2" in message


@pytest.mark.parametrize(
    "change",
    [
        lambda obj: obj.pop("status"),
        lambda obj: obj.update(status={}),
        lambda obj: obj.update(status={"observedGeneration": -1}),
        lambda obj: obj["status"].pop("conditions"),
        lambda obj: obj["status"].update(conditions=[]),
        lambda obj: obj["status"].pop("observedGeneration"),
        lambda obj: obj["metadata"].update(generation=99),
    ],
)
def test_a_status_that_is_not_there_or_old_is_waited_for(change: Any) -> None:
    for name in ("healthy", "gate failed"):
        model = model_in(name)
        change(model)
        assert health(model)[0] == "Progressing"


def test_a_phase_or_a_condition_of_a_later_version_changes_nothing() -> None:
    for name in ("healthy", "gate failed", "at a step"):
        model = model_in(name)
        judged = health(model)
        model["status"]["phase"] = "Pondering"
        model["status"]["conditions"].insert(0, {"type": "Novel", "status": "Unknown"})
        assert health(model) == judged


def test_conditions_without_reason_and_message_are_no_error() -> None:
    model = model_in("healthy")
    for type_, status in (("Ready", "True"), ("Ready", "False"), ("Stalled", "True")):
        model["status"]["conditions"] = [{"type": type_, "status": status}]
        assert health(model)[1] == ""


@pytest.mark.parametrize(
    ("name", "actions"),
    [
        ("just applied", set()),
        ("no index", set()),
        ("healthy", set()),
        ("the first release trains", {"abort", "pause"}),
        ("paused by name", {"abort", "resume"}),
        ("at a step", {"promote", "abort", "pause"}),
        ("undecided", {"promote", "abort", "pause", "retry"}),
        ("gate failed", {"retry"}),
        ("watched", {"promote", "rollback"}),
        ("watched, undecided", {"promote", "retry", "rollback"}),
        ("aborted", {"retry"}),
        ("two", {"rollback"}),
        ("rolled back", set()),
    ],
)
def test_the_actions_that_are_offered(name: str, actions: set[str]) -> None:
    assert offered(model_in(name)) == actions


def test_actions_are_discovered_without_a_status() -> None:
    model = model_in("healthy")
    del model["status"]
    model["metadata"].pop("annotations", None)
    assert offered(model) == set()


@pytest.mark.parametrize("name", SITUATIONS)
def test_what_is_offered_touches_annotations_alone_and_means_a_release(name: str) -> None:
    model = model_in(name)
    for action in offered(model) - {"resume"}:
        changed = act(action, model)
        value = changed["metadata"]["annotations"][annotation(Verb(action))]
        number = number_of(value, worlds.MODEL)
        assert number is not None and world_of(name).has_release(number)
        before, after = copy.deepcopy(model), copy.deepcopy(changed)
        before["metadata"].pop("annotations", None)
        after["metadata"].pop("annotations", None)
        assert after == without_nothing(before)


def without_nothing(value: Any) -> Any:
    """As Lua hands it back: an empty list and an empty map are the same there."""
    if isinstance(value, dict):
        return {key: without_nothing(found) for key, found in value.items()}
    if isinstance(value, list):
        return [without_nothing(found) for found in value] or {}
    return value


@pytest.mark.parametrize(
    ("name", "action", "stages"),
    [
        ("at a step", "promote", {1: "Retained", 2: "Serving"}),
        ("at a step", "abort", {1: "Serving", 2: "Superseded"}),
        ("undecided", "promote", {1: "Retained", 2: "Serving"}),
        ("watched", "promote", {1: "Retained", 2: "Serving"}),
        ("watched, undecided", "retry", {1: "Retained", 2: "Serving"}),
        ("gate failed", "retry", {1: "Serving", 2: "Failed"}),
        ("two", "rollback", {1: "Serving", 2: "Retained"}),
    ],
)
def test_the_operator_does_what_an_action_asks(
    name: str, action: str, stages: dict[int, str]
) -> None:
    world = SITUATIONS[name][0]()
    token = act(action, model_in(name))["metadata"]["annotations"][f"lockstep.dev/{action}"]
    world.annotate(action, token).run().pass_time(60).run()
    assert {number: world.stage(number) for number in stages} == stages
    (entry,) = [e for e in world.status["lastHandled"] if e["verb"] == action]
    assert entry["value"] == token and entry["outcome"].startswith("accepted")


def test_a_second_wish_is_another_value() -> None:
    model = model_in("gate failed")
    values = []
    for _ in range(3):
        changed = act("retry", model)
        value = changed["metadata"]["annotations"]["lockstep.dev/retry"]
        values.append(value)
        model["metadata"]["annotations"] = {"lockstep.dev/retry": value}
        model["status"]["lastHandled"] = [{"verb": "retry", "value": value}]
    assert values[0] == "glyphs-r2" and values[1] == "glyphs-r2.2"
    assert all(one != other for one, other in pairwise(values))


def test_resume_takes_the_pause_away_and_nothing_else() -> None:
    model = model_in("paused by name")
    model["metadata"]["annotations"]["team"] = "search"
    changed = act("resume", model)
    assert changed["metadata"]["annotations"] == {"team": "search"}


def test_a_policy_is_healthy_while_it_learns_and_degraded_while_what_it_watches_drifts() -> None:
    world = watched.watched()
    assert health(policy_in(world))[0] == "Healthy"
    watched.drift(world)
    status, message = health(policy_in(world))
    assert status == "Degraded" and "DRIFT" in message
    watched.quiet(world)
    assert health(policy_in(world))[0] == "Healthy"
    watched.change(world, windows=[{"seconds": 7777}])
    assert health(policy_in(world))[0] == "Degraded"


def policy_in(world: worlds.World) -> Any:
    return world.objects["DriftPolicy", POLICY]
