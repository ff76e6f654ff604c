"""Verbs: annotations of an EmbeddingModel whose value is the release that they mean.

The operator acts on a value once and records it in `status.lastHandled`, so a replay, a stale
command or a copy kept in Git does nothing. Whoever asks a second time writes another value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum

from lockstep_core.protocol.labels import GROUP

# `r13`, `glyphs-r13`, and `r13.2` for the second time that the same is asked of r13.
_TOKEN = re.compile(r"(?:(?P<model>[a-z][-a-z0-9]*)-)?r(?P<number>[1-9][0-9]{0,6})(?:\.[0-9]+)?")


class Verb(StrEnum):
    PROMOTE = "promote"
    ABORT = "abort"
    ROLLBACK = "rollback"
    RETRY = "retry"
    PAUSE = "pause"


def short_name(release: str) -> str:
    """`r13` of `products-r13`: what people and verbs call it."""
    return release.rpartition("-")[2]


def annotation(verb: Verb) -> str:
    """`lockstep.dev/promote`."""
    return f"{GROUP}/{verb}"


def number_of(token: str, model: str) -> int | None:
    """The release that a verb's value means; None when it means none of this model."""
    match = _TOKEN.fullmatch(token.strip())
    if match is None or match["model"] not in (None, model):
        return None
    return int(match["number"])


def fresh_token(release: str, used: Iterable[str]) -> str:
    """A value that asks for release `r13` anew: the annotation's value and those that were handled
    are `used`, and a value that is there already would change nothing."""
    seen = set(used)
    if not any(_is_about(token, release) for token in seen):
        return release
    counts = [int(token.rpartition(".")[2]) for token in seen if re.search(r"\.[0-9]+$", token)]
    return f"{release}.{max([1, *counts]) + 1}"


def _is_about(token: str, release: str) -> bool:
    return short_name(token.partition(".")[0]) == release
