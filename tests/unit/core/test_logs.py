"""A line of a log is one JSON object, whatever was logged."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from lockstep_core.protocol.logs import JsonFormatter

pytestmark = pytest.mark.unit


def parsed(**fields: Any) -> dict[str, Any]:
    record = logging.makeLogRecord(
        {"name": "x", "levelname": "WARNING", "msg": "read %s", "args": ("東京",), "created": 1.5}
        | fields
    )
    line = JsonFormatter().format(record)
    assert "\n" not in line
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_line_has_its_time_level_logger_and_message() -> None:
    assert parsed() == {
        "time": "1970-01-01T00:00:01.500Z",
        "level": "warning",
        "logger": "x",
        "message": "read 東京",
    }


def test_extra_fields_are_part_of_it_and_colours_for_terminals_are_not() -> None:
    line = parsed(path=Path("/artifacts"), rows=3, color_message="\x1b[32mread")
    assert (line["path"], line["rows"]) == ("/artifacts", 3)
    assert "color_message" not in line


def test_a_traceback_stays_on_the_line() -> None:
    try:
        raise ValueError("torn\nfile")
    except ValueError:
        line = parsed(exc_info=sys.exc_info())
    assert "ValueError: torn" in line["traceback"]
