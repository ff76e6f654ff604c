"""What the encoder of the pod left for its monitor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from lockstep_core.drift import features_file
from lockstep_core.drift.errors import FeaturesError
from lockstep_core.drift.features import Features
from lockstep_core.protocol.monitoring import (
    BASELINE_PATH,
    FEATURES_PATH,
    HANDOVER_NAME,
    NO_FEATURES,
    Handover,
    model_folder,
)

MAX_BASELINE_BYTES = 1024 * 1024
WAITING = "no encoder has said yet what it serves"


@dataclass(frozen=True)
class Watched:
    """What is served, and what it is watched with: `features`, or why there are none, in
    `problem`. `baseline` is the held-out one, as JSON."""

    handover: Handover | None
    features: Features | None = None
    baseline: bytes | None = None
    problem: str | None = None


NOTHING = Watched(None, problem=WAITING)


def stamp(directory: Path) -> tuple[int, int] | None:
    """Changes whenever the encoder left something new; None: nothing yet."""
    try:
        found = (directory / HANDOVER_NAME).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def read(directory: Path) -> Watched:
    """Checked before use. Never raises: what is wrong is told in `problem`."""
    try:
        text = _bounded(directory / HANDOVER_NAME)
        handover = Handover.model_validate_json(text)
    except (OSError, ValidationError, FeaturesError) as error:
        return Watched(None, problem=f"{HANDOVER_NAME} cannot be read: {error}")
    if handover.features_digest is None:
        return Watched(handover, problem=handover.problem or NO_FEATURES)
    folder = directory / model_folder(handover.features_digest)
    try:
        features = features_file.read(folder / Path(FEATURES_PATH).name)
        if features.digest != handover.features_digest:
            raise FeaturesError(
                f"features are {features.digest}, the encoder said {handover.features_digest}:"
                " start the pod anew"
            )
        baseline = folder / Path(BASELINE_PATH).name
        return Watched(handover, features, _bounded(baseline) if baseline.is_file() else None)
    except (OSError, FeaturesError) as error:
        return Watched(handover, problem=str(error))


def _bounded(path: Path) -> bytes:
    if (size := path.stat().st_size) > MAX_BASELINE_BYTES:
        raise FeaturesError(f"{path.name} has {size} bytes, above {MAX_BASELINE_BYTES}")
    return path.read_bytes()
