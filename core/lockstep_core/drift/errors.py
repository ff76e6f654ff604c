"""What is refused in this room. Each message names what, its value and the fix."""

from __future__ import annotations


class DriftError(ValueError):
    """The base of all of them."""


class FeaturesError(DriftError):
    """A features file that cannot be used: torn, of another schema, or not what its digest says."""


class SketchError(DriftError):
    """A sketch that cannot be read: torn, out of bounds, or with numbers that contradict."""


class MismatchError(DriftError):
    """Two things that cannot be merged or compared, because they are not of one kind.

    `what` is the quantity that differs, `one` and `other` its two values.
    """

    def __init__(self, what: str, one: object, other: object, fix: str) -> None:
        super().__init__(f"{what}: {one} and {other} differ; {fix}")
        self.what, self.one, self.other = what, one, other


class BaselineError(DriftError):
    """A baseline that cannot be made or read: too little data, or not what its digest says."""
