"""Identity of a desired state: which spaces and which indexes are the same.

A hash covers a field only while it differs from its default, so a later version that adds a field
does not train every model anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from lockstep_core.protocol.base import Sha256
from lockstep_core.protocol.training import TrainingSpec
from lockstep_operator.api.release import FrozenIndex

LENGTH = 16
"""Hex digits that are kept: 64 bits, for equality within one model only."""


def _digest(value: Any) -> str:
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:LENGTH]


def space_hash(training: TrainingSpec, artifacts_uri: str) -> str:
    """Of all that shapes the embedding space. Pods, attempts and deadlines are not part of it."""
    return _digest({"training": training.shaping(), "artifacts": artifacts_uri})


def imported_space_hash(digest: Sha256, artifacts_uri: str) -> str:
    """Of an imported model: its artifact says all that shapes the space, wherever it comes from."""
    return _digest({"artifact": digest, "artifacts": artifacts_uri})


def index_hash(indexes: Iterable[FrozenIndex]) -> str:
    """Of the recipes of all indexes, in the order of their names."""
    return _digest([recipe(index) for index in sorted(indexes, key=lambda index: index.name)])


def recipe(index: FrozenIndex) -> dict[str, Any]:
    """What makes a build of an index another build."""
    return index.model_dump(mode="json", by_alias=True, exclude_defaults=True)
