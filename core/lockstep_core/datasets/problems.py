"""What is wrong with a data set: all of it at once, each with rows to look at and the fix."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

MAX_EXAMPLES = 5
MAX_EXAMPLE_CHARACTERS = 120


@dataclass(frozen=True)
class Problem:
    """`count` rows or files have it; `examples` are the first few (at most 5)."""

    what: str
    count: int
    examples: tuple[str, ...]
    fix: str

    def __str__(self) -> str:
        if not self.examples:
            return f"{self.what}. Fix: {self.fix}"
        return f"{self.what}: {self.count} (e.g. {', '.join(self.examples)}). Fix: {self.fix}"


def problem(
    what: str, examples: Iterable[object], fix: str, *, count: int | None = None
) -> Problem:
    """A problem whose count is the number of `examples`, unless `count` says otherwise."""
    shown = [str(example)[:MAX_EXAMPLE_CHARACTERS] for example in examples]
    total = len(shown) if count is None else count
    return Problem(what, total, tuple(shown[:MAX_EXAMPLES]), fix)


class Tally:
    """Counts what is wrong with rows, of which only the first few are kept as examples."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], tuple[int, list[str]]] = {}

    def add(self, what: str, example: object, fix: str) -> None:
        """One more row has `what`."""
        count, examples = self._found.get((what, fix), (0, []))
        if count < MAX_EXAMPLES:
            examples.append(str(example)[:MAX_EXAMPLE_CHARACTERS])
        self._found[what, fix] = (count + 1, examples)

    def problems(self) -> list[Problem]:
        """In the order in which they were first found."""
        return [
            Problem(what, count, tuple(examples), fix)
            for (what, fix), (count, examples) in self._found.items()
        ]


class DatasetError(Exception):
    """The data set cannot be used (`ExitCode.BAD_DATASET`)."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "; ".join(str(item) for item in self.problems)
