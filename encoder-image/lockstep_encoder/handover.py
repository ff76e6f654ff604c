"""What the encoder leaves for the monitor of its pod: the artifact's files for it, verified."""

from __future__ import annotations

import logging
from pathlib import Path

from lockstep_core.artifacts import ModelManifest
from lockstep_core.drift import features_file
from lockstep_core.drift.errors import FeaturesError
from lockstep_core.protocol.monitoring import (
    BASELINE_PATH,
    FEATURES_PATH,
    HANDOVER_NAME,
    MAX_HANDOVER_BYTES,
    NO_FEATURES,
    Handover,
    TapConfig,
    model_folder,
)

logger = logging.getLogger(__name__)
_NORMALISED = "L2"


def hand_over(
    folder: Path, manifest: ModelManifest, artifact_digest: str, config: TapConfig
) -> str | None:
    """Copies the files from `folder`, whose bytes are verified, and says which model they are of.

    Returns the digest of the features, or None where there is nothing to watch with. Never raises:
    an encoder that cannot be watched serves.
    """
    shared = Path(config.directory)
    try:
        digest, problem = _copied(folder, manifest, shared), None
    except (OSError, FeaturesError) as error:
        digest, problem = None, str(error)
        logger.warning("nothing is watched: %s", error)
    handover = Handover(
        space_id=manifest.space_id,
        artifact_digest=artifact_digest,
        dimension=manifest.dimension,
        unit_norm=manifest.normalisation == _NORMALISED,
        features_digest=digest,
        problem=problem,
    )
    try:
        _put(shared / HANDOVER_NAME, handover.model_dump_json(by_alias=True).encode())
    except OSError as error:
        logger.warning("the monitor cannot be told what is served: %s", error)
        return None
    return digest


def _copied(folder: Path, manifest: ModelManifest, shared: Path) -> str:
    """The digest of the features. Raises FeaturesError and OSError."""
    sizes = {entry.path: entry.bytes for entry in manifest.files}
    if FEATURES_PATH not in sizes:
        raise FeaturesError(NO_FEATURES)
    files = [path for path in (FEATURES_PATH, BASELINE_PATH) if path in sizes]
    if (size := sum(sizes[path] for path in files)) > MAX_HANDOVER_BYTES:
        raise FeaturesError(
            f"{' and '.join(files)} have {size} bytes, above {MAX_HANDOVER_BYTES}: train or export"
            " the model again with fewer dimensions to watch it"
        )
    features = features_file.read(folder / FEATURES_PATH)
    if features.dim != manifest.dimension or features.space_id not in (None, manifest.space_id):
        raise FeaturesError(
            f"{FEATURES_PATH} is of space {features.space_id} and {features.dim} numbers, the model"
            f" is of {manifest.space_id} and {manifest.dimension}: export it again"
        )
    target = shared / model_folder(features.digest)
    target.mkdir(parents=True, exist_ok=True)
    for path in files:
        _put(target / Path(path).name, (folder / path).read_bytes())
    return features.digest


def _put(path: Path, data: bytes) -> None:
    """Whole or not at all for whoever reads it."""
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(data)
    part.replace(path)
