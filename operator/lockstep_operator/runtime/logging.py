"""One JSON line per fact: a transition, a write, a refusal. kopf's own chatter stays out."""

from __future__ import annotations

import datetime
import logging
import sys
from typing import Any

import orjson

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """A record's message and its `extra` fields as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.datetime.fromtimestamp(record.created, datetime.UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


class TextFormatter(logging.Formatter):
    """The same facts for a terminal: `12:00:00 INFO message key=value`."""

    def format(self, record: logging.LogRecord) -> str:
        extras = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        facts = "".join(f" {key}={value}" for key, value in extras.items())
        head = f"{self.formatTime(record, '%H:%M:%S')} {record.levelname}"
        text = f"{head} {record.getMessage()}{facts}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def facts_of(kind: str, name: str, why: str | None = None) -> dict[str, str]:
    """The `extra` fields of a line about one object, `name` with its namespace."""
    facts = {"kind": kind, "object": name}
    return facts if why is None else {**facts, "why": why}


def configure(*, level: str, style: str) -> None:
    """Sends all logs to stdout. `style` is `json` or `text`."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # kopf logs every handler call of every event at INFO; its warnings are worth reading.
    logging.getLogger("kopf").setLevel(logging.WARNING)
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
