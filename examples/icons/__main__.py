"""Icons of many sets: class = name, item = one set's drawing of it.

What a name means is left to whoever drew it: `bolt` is a flash here and a screw there. So the
labels are as wrong as those of real data often are. Classes are names that enough sets have.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from examples.icons.drawing import SIDE, draw
from examples.icons.sources import VERSIONS, IconSet, fetch, read
from examples.workspace import (
    ExampleError,
    ImageSet,
    folder_of,
    progress,
    say,
    say_next,
    write_configs,
)

DATA = {"uri": "icons.npz", "format": "NPZ", "columns": {"group": "groups"}}


def shared_names(sets: Sequence[IconSet], least: int) -> list[str]:
    """Names that at least `least` of the sets have, sorted."""
    counts = Counter(name for each in sets for name in each.icons)
    return sorted(name for name, count in counts.items() if count >= least)


def training(by: str, *, seed: int = 0, steps: int = 300) -> Mapping[str, Any]:
    """The default miner and loss; a split by `Class` (unseen names) or by `Group` (unseen sets)."""
    return {
        "data": {**DATA, "split": {"by": by, "evalFraction": "0.3"}},
        "encoder": {"kind": "CNN", "dimension": 64},
        "batch": {"classes": 32, "perClass": 4},
        "budget": {"maxSteps": steps},
        "seed": seed,
    }


def write_set(sets: Sequence[IconSet], path: Path, least: int) -> int:
    """Draws and writes the icons whose names are shared; the number of items."""
    names = shared_names(sets, least)
    wanted = [(each, name) for each in sets for name in names if name in each.icons]
    with ImageSet(SIDE, path.parent) as images:
        for each, name in progress(wanted, "drawing", len(wanted)):
            if (image := draw(*each.icons[name])) is not None:
                key = f"{each.prefix}:{name}"
                images.add(image, label=name, name=key, group=each.prefix)
        images.write(path)
        say(f"{len(images)} icons of {len(names)} names from {len(sets)} sets")
        return len(images)


def write_licences(sets: Sequence[IconSet], path: Path) -> None:
    lines = [
        f"{each.title} ({each.prefix} {each.version}): {each.licence} {each.licence_url}".rstrip()
        for each in sets
    ]
    path.write_text("\n".join(lines) + "\n")


def make(folder: Path, *, least: int) -> list[Path]:
    """Data set, licences and both configs below `folder`; the configs."""
    say(f"fetching {len(VERSIONS)} icon sets")
    sets = [read(package) for package in fetch(folder / "packages")]
    write_licences(sets, folder / "LICENCES.txt")
    write_set(sets, folder / "icons.npz", least)
    return write_configs(folder, "icons", "sets", training)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m examples.icons",
        description="Fetches icon sets with npm, draws them and writes a data set, the licences of"
        " its pictures and two configs for `lockstep-train`: icons.json holds out names,"
        " icons-sets.json whole sets.",
    )
    parser.add_argument("--folder", type=Path, help="where to write (the user's cache folder)")
    parser.add_argument("--min-sets", type=int, default=5, help="sets that must have a name (5)")
    options = parser.parse_args(arguments)
    try:
        configs = make((options.folder or folder_of("icons")).resolve(), least=options.min_sets)
    except (ExampleError, OSError) as error:
        say(f"error: {error}")
        return 1
    say_next(*configs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
