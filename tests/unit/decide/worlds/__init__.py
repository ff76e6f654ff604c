"""A tiny cluster for `decide`: an API of dicts, an applier that can be killed, and a slow watch.

Nothing here is a test. A test begins in a world of `starts`, lets people and controllers act, and
reads what became of it by `views`.
"""

from tests.unit.decide.worlds.drifting import monitored, show_drift
from tests.unit.decide.worlds.manifests import config_text, made_by, served_build, served_space
from tests.unit.decide.worlds.operator import Conflict, Killed, is_empty
from tests.unit.decide.worlds.specs import (
    DATA,
    ERRORS,
    GATE,
    MODEL,
    NAMESPACE,
    OWN,
    POLICY,
    START,
    STEPS,
    index_spec,
    model_spec,
    own_object,
    policy_spec,
)
from tests.unit.decide.worlds.starts import (
    canary,
    healthy,
    measured,
    promoted,
    promoting,
    second,
    two,
)
from tests.unit.decide.worlds.world import World

__all__ = [
    "DATA",
    "ERRORS",
    "GATE",
    "MODEL",
    "NAMESPACE",
    "OWN",
    "POLICY",
    "START",
    "STEPS",
    "Conflict",
    "Killed",
    "World",
    "canary",
    "config_text",
    "healthy",
    "index_spec",
    "is_empty",
    "made_by",
    "measured",
    "model_spec",
    "monitored",
    "own_object",
    "policy_spec",
    "promoted",
    "promoting",
    "second",
    "served_build",
    "served_space",
    "show_drift",
    "two",
]
