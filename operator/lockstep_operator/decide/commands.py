"""The commands that a message offers. They work as printed: each token is one not yet handled."""

from __future__ import annotations

import re
from enum import StrEnum

from lockstep_core.protocol.labels import GROUP
from lockstep_operator.api.objects import Model
from lockstep_operator.manifests import short_name

# `r13`, `glyphs-r13`, and `r13.2` for the second time that the same is asked of r13.
_TOKEN = re.compile(r"(?:(?P<model>[a-z][-a-z0-9]*)-)?r(?P<number>[1-9][0-9]{0,6})(?:\.[0-9]+)?")


class Verb(StrEnum):
    PROMOTE = "promote"
    ABORT = "abort"
    ROLLBACK = "rollback"
    RETRY = "retry"
    PAUSE = "pause"


def annotation(verb: Verb) -> str:
    return f"{GROUP}/{verb}"


def number_of(token: str, model: str) -> int | None:
    """The release that a verb's value means; None when it means none of this model."""
    found = _TOKEN.fullmatch(token.strip())
    if found is None or found["model"] not in (None, model):
        return None
    return int(found["number"])


def ask(model: Model, verb: Verb, release: str) -> str:
    """The kubectl command that asks for a verb."""
    token = _fresh_token(model, verb, short_name(release))
    return _annotate(model, f"--overwrite {annotation(verb)}={token}")


def let_go(model: Model) -> str:
    """The kubectl command that ends a pause."""
    return _annotate(model, f"{annotation(Verb.PAUSE)}-")


def unpause(model: Model) -> str:
    """The kubectl command that ends `spec.rollout.paused`."""
    patch = '\'{"spec":{"rollout":{"paused":false}}}\''
    return f"kubectl patch em/{model.name} -n {model.namespace} --type=merge -p {patch}"


def _annotate(model: Model, change: str) -> str:
    return f"kubectl annotate em/{model.name} -n {model.namespace} {change}"


def _fresh_token(model: Model, verb: Verb, release: str) -> str:
    """An annotation that has this value already would change nothing, so count up."""
    seen = {entry.value for entry in model.status.last_handled or () if entry.verb == verb}
    seen.add(model.annotations.get(annotation(verb), ""))
    if not any(_is_about(token, release) for token in seen):
        return release
    counts = [int(token.rpartition(".")[2]) for token in seen if re.search(r"\.[0-9]+$", token)]
    return f"{release}.{max([1, *counts]) + 1}"


def _is_about(token: str, release: str) -> bool:
    return token.partition(".")[0].rpartition("-")[2] == release
