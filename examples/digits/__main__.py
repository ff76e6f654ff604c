"""Handwritten digits with unseen classes: the example that must be refused.

Five digits train, five are held out. Raw pixels find a digit's like nearly always, and what is
learnt from five classes makes that worse: a gate with `minGainOverBaseline` stops the release.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from examples.workspace import ImageSet, folder_of, say, say_next, write_config

SIDE = 8


def digits() -> tuple[NDArray[np.uint8], NDArray[np.str_]]:
    """uint8 [1797, 8, 8] and the labels "0" to "9"; UCI's digits, which scikit-learn carries."""
    digits = load_digits()
    return (digits.images * 15).astype(np.uint8), digits.target.astype(np.str_)


def training(steps: int = 180) -> Mapping[str, Any]:
    return {
        "data": {
            "uri": "digits.npz",
            "format": "NPZ",
            "split": {"by": "Class", "evalFraction": "0.5"},
        },
        "encoder": {"kind": "CNN", "dimension": 64},
        "batch": {"classes": 5, "perClass": 16},
        "budget": {"maxSteps": steps},
    }


def make(folder: Path) -> Path:
    """Data set and config below `folder`; the config."""
    with ImageSet(SIDE, folder) as images:
        for row, (image, label) in enumerate(zip(*digits(), strict=True)):
            images.add(image, label=str(label), name=f"{row:04d}", group="all")
        images.write(folder / "digits.npz")
    config = folder / "digits.json"
    write_config(config, training())
    return config


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m examples.digits",
        description="Writes scikit-learn's digits and a config for `lockstep-train` that holds out"
        " five of them. `validate` warns; the trained encoder is worse than raw pixels.",
    )
    parser.add_argument("--folder", type=Path, help="where to write (the user's cache folder)")
    options = parser.parse_args(arguments)
    config = make((options.folder or folder_of("digits")).resolve())
    say("1797 drawings of 10 digits")
    say_next(config)
    return 0


if __name__ == "__main__":
    sys.exit(main())
