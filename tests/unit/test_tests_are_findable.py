"""Tests are found by the name of the module that they test, and import what they need."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "tests" / "unit"
OPERATOR = ROOT / "operator" / "lockstep_operator"
DECIDE = OPERATOR / "decide"

# A module with more public functions than this has tests under its name, or stands below.
MANY = 2

# Tested by what becomes of a whole release, in these files of `tests/unit/decide`: what such a
# module decides is only seen together with what it does to pods, traffic and statuses.
SHOWN_ELSEWHERE = {
    "context/pauses": "lives/test_edges_of_people.py",
    "context/stored": "lives/test_lost_artifacts.py",
    "gates/live": "gates/test_analysis.py",
    "gates/verdicts": "gates/test_recall.py",
    "gates/shares": "gates/test_latency.py",
    "jobs/attempts": "lives/test_edges_of_jobs.py",
    "policies/drift_lines": "policies/test_drift_policy.py",
    "policies/drift_watches": "policies/test_drift_policy.py",
    "releases/model": "lives/test_edges_of_other_specs.py",
    "releases/wanted": "lives/test_edges_of_other_specs.py",
    "releases/retention": "lives/test_edges_of_people.py",
    "releases/retries": "lives/test_edges_of_retries.py",
    "snapshot/desired": "lives/test_edges_of_specs.py",
    "snapshot/targets": "gates/test_analysis.py",
    "snapshot/snapshot": "lives/test_edges_of_the_cluster.py",
    "stages/ending": "lives/test_edges_of_people.py",
    "stages/returning": "lives/test_edges_of_rollbacks.py",
    "stages/watched": "lives/test_after_promotion.py",
    "status/drift_policy_status": "policies/test_drift_policy.py",
    "status/release_status": "status/test_summary.py",
    "status/sentences": "status/test_summary.py",
    "status/stored": "lives/test_lost_artifacts.py",
    "status/what_serves": "status/test_model_status.py",
    "traffic/entry": "lives/test_edges_of_the_canary.py",
    "traffic/steps": "lives/test_edges_of_the_canary.py",
    "traffic/traffic": "lives/test_edges_of_the_canary.py",
    "vocabulary/formatting": "status/test_summary.py",
    "workloads/capacity": "lives/test_autoscaling.py",
    "workloads/drift_deeds": "policies/test_drift_policy.py",
}

# Whole lives of releases, the page of the state machine, all builders: no single module is theirs.
OF_NO_MODULE = {
    "decide/lives",
    "decide/test_release_machine_page.py",
    "decide/test_edges_of_the_page.py",
    "manifests/test_manifests.py",
}

# A module that two tests load by path is two modules, each with its own state.
LOADERS = ("spec_from_file_" + "location", "SourceFile" + "Loader", "run_" + "path")
LOADED_BY_PATH = {
    # `gitops/argo-cd` is no name that an import can say.
    "tests/unit/gitops/test_argo_cd.py",
}


def public_functions(path: Path) -> int:
    body = ast.parse(path.read_text()).body
    return sum(isinstance(n, ast.FunctionDef) and not n.name.startswith("_") for n in body)


def imported(path: Path) -> set[str]:
    """Modules, and names of modules, that a file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def is_called_after(test: Path, module: str) -> bool:
    """`test_job_status.py`, or a part of it: `test_job_status_of_several_pods.py`."""
    return f"{test.stem}_of_".startswith(f"test_{module}_of_")


def is_tested_by_name(module: Path) -> bool:
    """Whether a test of the mirrored folder is called after the module, or imports it."""
    tests = list((UNIT / module.relative_to(OPERATOR).parent).glob("test_*.py"))
    name = ".".join(("lockstep_operator", *module.relative_to(OPERATOR).with_suffix("").parts))
    return any(is_called_after(test, module.stem) or name in imported(test) for test in tests)


def test_every_module_of_decide_with_many_functions_has_tests_where_one_looks() -> None:
    modules = [p for p in DECIDE.rglob("*.py") if p.name != "__init__.py"]
    assert len(modules) > 40
    untested = {
        str(p.relative_to(DECIDE).with_suffix(""))
        for p in modules
        if public_functions(p) > MANY and not is_tested_by_name(p)
    }
    assert untested - SHOWN_ELSEWHERE.keys() == set()


def test_the_list_of_what_is_shown_elsewhere_is_true() -> None:
    for module, test in SHOWN_ELSEWHERE.items():
        assert (DECIDE / f"{module}.py").is_file(), module
        assert (UNIT / "decide" / test).is_file(), test


@pytest.mark.parametrize("part", ["decide", "runtime", "manifests"])
def test_a_file_of_tests_is_called_after_a_module(part: str) -> None:
    for path in (UNIT / part).rglob("test_*.py"):
        place = path.relative_to(UNIT)
        if {str(place), str(place.parent)} & OF_NO_MODULE:
            continue
        modules = [p.stem for p in (OPERATOR / place.parent).glob("*.py")]
        assert any(is_called_after(path, module) for module in modules), str(place)


def test_nothing_is_loaded_by_path_where_an_import_works() -> None:
    loading = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests").rglob("*.py")
        if any(loader in path.read_text() for loader in LOADERS)
    }
    assert loading == LOADED_BY_PATH
