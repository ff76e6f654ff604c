"""Why an artifact cannot be had: the store is out of reach, or what it holds is not what was asked.

The first is worth another attempt (`ExitCode.STORE_UNAVAILABLE`), the second never is
(`ExitCode.DIGEST_MISMATCH`).
"""

from __future__ import annotations


class StoreError(Exception):
    """The store cannot be reached, or refuses the credentials."""


class StoreUnsuitable(StoreError):
    """The store lacks what artifacts need of one: no attempt will end otherwise."""


class ArtifactError(Exception):
    """Missing, corrupt, of another kind, or naming an unsafe path: the bytes must not be used."""


def mismatch(what: str, *, expected: str, actual: str) -> ArtifactError:
    """The one wording for bytes that do not have the digest that was promised."""
    return ArtifactError(
        f"{what} is corrupt: expected {expected}, found {actual}. Nothing of it was used; restore"
        " the file, or publish the artifact again (publishing replaces corrupt files)."
    )
