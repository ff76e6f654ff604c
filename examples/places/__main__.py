"""Places by their names: class = place, item = one of its names, in whatever script.

The data are of GeoNames (CC BY 4.0: name it where you show them); the package is under MIT. Names
that several places share stay: so many answers are wrong at best.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pyarrow.parquet as arrow_parquet

from examples.places.names import CHOICES, MAX_BYTES, Place, Size, places, script
from examples.workspace import folder_of, say, say_next, write_configs, written

EVAL_FRACTIONS = {Size.SMALL: "0.2", Size.FULL: "0.02"}
STEPS = {Size.SMALL: 600, Size.FULL: 20_000}


def write_set(chosen: Sequence[Place], path: Path) -> int:
    """Parquet with `input`, `label`, `id`, `country` and `script`, a row a name; the rows."""
    rows = [(place, name) for place in chosen for name in place.names]
    table = arrow.table(
        {
            "input": [name for _, name in rows],
            "label": [place.label for place, _ in rows],
            "id": [f"{place.label}/{name}" for place, name in rows],
            "country": [place.country for place, _ in rows],
            "script": [script(name) for _, name in rows],
        }
    )
    with written(path) as temporary:
        arrow_parquet.write_table(table, temporary)
    return len(rows)


def training(size: Size, by: str) -> Mapping[str, Any]:
    """A split by `Class` (unseen places) or by `Group` (unseen countries)."""
    fraction = EVAL_FRACTIONS[size] if by == "Class" else "0.1"
    return {
        "data": {
            "uri": f"places-{size}.parquet",
            "format": "Parquet",
            "columns": {"group": "country"},
            "split": {"by": by, "evalFraction": fraction},
        },
        "encoder": {"kind": "CharCNN", "dimension": 128, "maxLength": MAX_BYTES},
        "loss": {"name": "InfoNCE"},
        "batch": {"classes": 64, "perClass": 4},
        "budget": {"maxSteps": STEPS[size]},
    }


def make(folder: Path, size: Size) -> list[Path]:
    """Data set and both configs below `folder`; the configs."""
    chosen = places(CHOICES[size])
    rows = write_set(chosen, folder / f"places-{size}.parquet")
    scripts = Counter(script(name) for place in chosen for name in place.names)
    usual = ", ".join(name for name, _ in scripts.most_common(8))
    say(f"{rows} names of {len(chosen)} places in {len(scripts)} scripts ({usual}, ...)")
    return write_configs(folder, f"places-{size}", "countries", lambda by: training(size, by))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m examples.places",
        description="Writes names of places in many scripts, and two configs for `lockstep-train`:"
        " one holds out places, one (-countries) whole countries. small: 4,000 large places; full:"
        " every place of 500 inhabitants that has four names.",
    )
    parser.add_argument("--folder", type=Path, help="where to write (the user's cache folder)")
    parser.add_argument("--size", type=Size, choices=list(Size), default=Size.SMALL)
    options = parser.parse_args(arguments)
    say("reading GeoNames" + ("" if options.size is Size.SMALL else ": a minute"))
    say_next(*make((options.folder or folder_of("places")).resolve(), options.size))
    return 0


if __name__ == "__main__":
    sys.exit(main())
