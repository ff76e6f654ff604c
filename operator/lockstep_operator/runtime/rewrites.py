"""Writes of which the API server stored something else than was asked.

A webhook, or a default that the manifest contradicts, rewrites a field each time. Without a memory
of that, one such field is a write per pass.
"""

from __future__ import annotations

import logging
from typing import Any

from lockstep_operator.api.objects import Object
from lockstep_operator.runtime.logging import facts_of

logger = logging.getLogger(__name__)


class Rewrites:
    """By the uid of an object: what was asked last, and what came of it."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, Any]] = {}

    def includes(self, live: Object, asked: str, state: Any) -> bool:
        """Whether the same was asked before and the server made of it what is there now."""
        return self._known.get(live["metadata"]["uid"]) == (asked, state)

    def note(self, stored: Object, asked: str, state: Any, differs: str | None) -> None:
        """Remembers what came of a write; `differs` is the field that is not as asked, or None."""
        metadata = stored["metadata"]
        if differs is None:
            self._known.pop(metadata["uid"], None)
            return
        self._known[metadata["uid"]] = (asked, state)
        facts = facts_of(stored.get("kind", ""), f"{metadata['namespace']}/{metadata['name']}")
        logger.warning("the API server stored something else", extra=facts | {"field": differs})
