"""Lines of the log."""

from __future__ import annotations

import json
import logging

import pytest

from lockstep_operator.runtime import logging as logs

pytestmark = pytest.mark.unit


def test_a_log_line_is_one_line_of_json_with_its_facts() -> None:
    record = logging.makeLogRecord(
        {"name": "x", "levelname": "INFO", "msg": "stage %s", "args": ("Training",), "model": "a/b"}
    )
    line = logs.JsonFormatter().format(record)
    parsed = json.loads(line)
    assert "\n" not in line
    assert (parsed["message"], parsed["model"], parsed["level"]) == (
        "stage Training",
        "a/b",
        "info",
    )
    assert "model=a/b" in logs.TextFormatter().format(record)
