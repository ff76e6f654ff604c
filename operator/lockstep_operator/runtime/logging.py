"""One JSON line per fact: a transition, a write, a refusal. kopf's own chatter stays out."""

from __future__ import annotations

import logging
import sys

from lockstep_core.protocol.logs import JsonFormatter, extra_fields


class TextFormatter(logging.Formatter):
    """The same facts for a terminal: `12:00:00 INFO message key=value`."""

    def format(self, record: logging.LogRecord) -> str:
        facts = "".join(f" {key}={value}" for key, value in extra_fields(record).items())
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
