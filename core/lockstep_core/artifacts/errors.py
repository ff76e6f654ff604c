"""Why an artifact cannot be had: the store is out of reach, or what it holds is not what was asked.

The first is worth another attempt (`ExitCode.STORE_UNAVAILABLE`), the second never is
(`ExitCode.DIGEST_MISMATCH`).
"""

from __future__ import annotations

from lockstep_core.protocol.base import Sha256


class StoreError(Exception):
    """The store cannot be reached, or refuses the credentials."""


class StoreUnsuitable(StoreError):
    """The store lacks what artifacts need of one: no attempt will end otherwise."""


class ArtifactError(Exception):
    """Missing, corrupt, of another kind, or naming an unsafe path: the bytes must not be used."""


class ArtifactDamaged(ArtifactError):
    """A file of an artifact that was published is missing or has other bytes: making the artifact
    again mends it. `artifact` is its digest; `file` a path in it, None for its manifest."""

    def __init__(self, message: str, artifact: Sha256, file: str | None = None) -> None:
        super().__init__(message)
        self.artifact = artifact
        self.file = file


def mismatch(what: str, *, expected: str, actual: str) -> ArtifactError:
    """The error of bytes that do not have the digest that was promised."""
    return ArtifactError(mismatch_text(what, expected=expected, actual=actual))


def mismatch_text(what: str, *, expected: str, actual: str) -> str:
    """The one wording for them."""
    return (
        f"{what} is corrupt: expected {expected}, found {actual}. Nothing of it was used; restore"
        " the file, or publish the artifact again (publishing replaces corrupt files)."
    )
