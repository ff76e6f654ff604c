"""In `make test` nothing is left out without a failure."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
EXAMPLE = """
import pytest

def test_passes(): ...

@pytest.mark.skipif(True, reason="no Traefik here")
def test_marked(): ...

def test_asked():
    pytest.skip("port 8081 is in use")

@pytest.fixture
def gateway():
    pytest.skip("no gateway")

def test_of_a_fixture(gateway): ...

@pytest.mark.xfail(reason="known")
def test_known(): assert False
"""
MODULE = 'import pytest\npytest.skip("no such package", allow_module_level=True)\n'


def run(folder: Path, options: str) -> str:
    (folder / "test_example.py").write_text(EXAMPLE)
    (folder / "test_module.py").write_text(MODULE)
    environment = {**os.environ, "PYTEST_ADDOPTS": options}
    command = [sys.executable, "-m", "pytest", str(folder), "-q", f"--rootdir={folder}"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    return done.stdout


def test_a_skip_is_a_failure_with_its_reason(tmp_path: Path) -> None:
    assert "1 passed, 4 skipped, 1 xfailed" in run(tmp_path, "")
    # In a worker too, as `make coverage` runs them.
    told = run(tmp_path, "-p tests.full_run -n 1")
    assert "1 failed, 1 passed, 1 xfailed, 3 errors" in told
    for reason in ("no Traefik here", "port 8081 is in use", "no gateway", "no such package"):
        assert f"would be left out of a full run: {reason}" in told.replace("Skipped: ", "")


def recipe(target: str) -> str:
    found = re.search(rf"^{target}: .*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    assert found
    return found[1]


def test_make_test_is_the_full_run_and_builds_what_its_tests_need() -> None:
    assert re.search(
        r"^test: export PYTEST_ADDOPTS := .*-p tests\.full_run$", MAKEFILE, re.MULTILINE
    )
    everything = recipe("test")
    for part in ("lint coverage", "cluster CLUSTER_ARGS", "gateways", "images", "e2e"):
        assert f"$(MAKE) --no-print-directory {part}" in everything
    # What is left out of the first is run by the second, after its programs were built.
    assert "$(addprefix --ignore=,$(GATEWAY_TESTS))" in everything
    build, tests = recipe("gateways").splitlines()[1:]
    assert "binaries traefik envoy-gateway" in build and "pytest $(GATEWAY_TESTS)" in tests
    (left_out,) = re.findall(r"^GATEWAY_TESTS := (.*)$", MAKEFILE, re.MULTILINE)
    for path in left_out.split():
        assert (ROOT / path).exists()
    assert "binaries promtool" in everything
    assert "binaries --idle traefik envoy-gateway" in everything


def test_help_lists_every_target_that_has_a_line_for_it() -> None:
    told = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = re.findall(r"^  make (\S+)", told.stdout, re.MULTILINE)
    assert listed == re.findall(r"^([^\s:]+):.* ## ", MAKEFILE, re.MULTILINE)
    assert {"demo", "test", "e2e", "gateways"} <= set(listed)
