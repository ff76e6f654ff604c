"""Names of a release's objects: deterministic, so that a crash never makes a second one.

`<em>-r<N>` names a release, and everything else begins with that. Names of our kinds have at most
30 characters and never look like a release (CEL), so names of two models cannot meet.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum

from lockstep_core.protocol.verbs import short_name as short_name

NAME_LIMIT = 63
"""A DNS-1035 label: Services, and the `job-name` label of a Job's pods."""


class JobKind(StrEnum):
    """The part of a Job's name, and the component label of its pods."""

    TRAIN = "train"
    IMPORT = "import"
    EVALUATE = "evaluate"
    BUILD = "build"
    REPLAY = "replay"
    CHECK = "check"


def release_name(model: str, number: int) -> str:
    """`products-r13`."""
    return f"{model}-r{number}"


def job_name(release: str, kind: JobKind, attempt: int, index: str | None = None) -> str:
    """`products-r13-train-1`, `products-r13-build-catalogue-1`; at most 63 characters."""
    stem = f"{release}-{kind}" if index is None else f"{release}-{kind}-{index}"
    suffix = f"-{attempt}"
    return _fit(stem, NAME_LIMIT - len(suffix)) + suffix


def encoder_name(release: str) -> str:
    """`products-r13-encoder`, of the Deployment and its Service."""
    return f"{release}-encoder"


def rendezvous_name(release: str) -> str:
    """`products-r13-train-<hash>`, of the Service by which the pods of a training find each other.

    The hash keeps it apart from that of an index called `train`. What it hashes names objects that
    run, so it stays as it is.
    """
    digest = hashlib.sha256(f"{release}/meeting".encode()).hexdigest()[:8]
    return f"{release}-{JobKind.TRAIN}-{digest}"


def index_name(release: str, index: str) -> str:
    """`products-r13-<index>`, of the Deployment and its Service.

    An index called `encoder` would meet the encoder's own objects: it is told apart by a hash, as
    are names that are too long.
    """
    name = f"{release}-{index}"
    if name == encoder_name(release):
        return _hashed(name, NAME_LIMIT)
    return _fit(name, NAME_LIMIT)


def _fit(name: str, limit: int) -> str:
    return name if len(name) <= limit else _hashed(name, limit)


def _hashed(name: str, limit: int) -> str:
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: limit - 9].rstrip('-')}-{digest}"
