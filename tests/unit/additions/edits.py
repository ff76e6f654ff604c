"""What an addition writes, as data: new files, and lines at anchors in files that are there.

An anchor is a whole line, or several. It must be there exactly once, so that a change of the code
around it is noticed here and not by a toy that lands elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

# Pages, generated files and tests: every addition has its own, and none of them is counted.
UNCOUNTED = ("docs/", "crds/", "charts/lockstep/templates/crds/", "tests/")


class Place(Enum):
    """Where the text goes, as seen from the anchor."""

    AFTER = auto()
    BEFORE = auto()
    INSTEAD = auto()


@dataclass(frozen=True)
class Edit:
    """Lines in a file that is there.

    `named` is how the page names the file where any of several may be meant, such as
    `decide/stages/<the one before>.py`.
    """

    path: str
    place: Place
    anchor: str
    text: str
    named: str = ""

    def apply(self, root: Path) -> None:
        """Raises ValueError when the anchor is not there exactly once."""
        path = root / self.path
        lines, anchor, text = (
            f"\n{part.strip(chr(10))}\n" for part in (path.read_text(), self.anchor, self.text)
        )
        found = len(re.findall(f"(?={re.escape(anchor)})", lines))
        if found != 1:
            raise ValueError(f"{self.path} has this anchor {found} times, must be once:{anchor}")
        both = {
            Place.AFTER: anchor + text[1:],
            Place.BEFORE: text + anchor[1:],
            Place.INSTEAD: text,
        }
        path.write_text(lines.replace(anchor, both[self.place])[1:])


@dataclass(frozen=True)
class NewFile:
    """A file of its own."""

    path: str
    text: str
    named: str = ""

    def apply(self, root: Path) -> None:
        """Raises ValueError when there is a file of that name."""
        path = root / self.path
        if path.exists():
            raise ValueError(f"{self.path} is there already")
        path.write_text(self.text.lstrip("\n"))


Change = Edit | NewFile


@dataclass(frozen=True)
class Addition:
    """One toy. `what` is the first column of the page.

    `changes` are its own; `beside` are those that are said apart: what the API server has to be
    told (types of the CRDs, rights), and neighbours that name it.
    """

    what: str
    changes: tuple[Change, ...]
    beside: tuple[Change, ...] = ()

    def all(self) -> Iterator[Change]:
        yield from self.changes
        yield from self.beside

    @property
    def files(self) -> set[str]:
        """The files that count, as the page names them."""
        return _counted(self.changes)

    @property
    def files_beside(self) -> set[str]:
        return _counted(self.beside) - self.files


def after(path: str, anchor: str, text: str, named: str = "") -> Edit:
    return Edit(path, Place.AFTER, anchor, text, named)


def before(path: str, anchor: str, text: str, named: str = "") -> Edit:
    return Edit(path, Place.BEFORE, anchor, text, named)


def instead(path: str, anchor: str, text: str, named: str = "") -> Edit:
    return Edit(path, Place.INSTEAD, anchor, text, named)


def _counted(changes: tuple[Change, ...]) -> set[str]:
    return {
        change.named or change.path
        for change in changes
        if not change.path.startswith(UNCOUNTED) and not change.path.endswith(".md")
    }
