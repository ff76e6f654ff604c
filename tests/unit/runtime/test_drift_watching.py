"""numpy comes with the first policy: an operator that watches none never imports it.

What a watcher does over HTTP is shown in `tests/unit/drifting`.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.unit

CODE = """
import sys
from lockstep_operator import handlers
from lockstep_operator.runtime import drift_watching
assert "numpy" not in sys.modules, "imported without a policy"
from lockstep_operator.runtime import drift_stream
assert "numpy" in sys.modules
"""


def test_numpy_is_imported_with_the_first_policy_and_not_before() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
