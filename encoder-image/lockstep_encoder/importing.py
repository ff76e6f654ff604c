"""`lockstep-encoder import`: a model that was trained elsewhere becomes this release's model.

Nothing is believed: the manifest is checked against the digest that the user wrote down, every
file against the manifest before it is parsed, and the model must open and give the embeddings that
were published with it. Only then is anything written into this release's store.
"""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path

from lockstep_core.artifacts import ArtifactError, ArtifactStore, ModelManifest
from lockstep_core.encoding import Encoder
from lockstep_core.jobs import Reporter, Stopping, run_job
from lockstep_core.protocol.config import ImportConfig
from lockstep_core.protocol.progress import Phase
from lockstep_core.protocol.result import Program, TrainingFacts


def import_model(config_path: Path | None, *, threads: int) -> int:
    """Runs the Job with `threads` in one inference; returns the exit code."""
    return run_job(
        program=Program.IMPORT,
        config_type=ImportConfig,
        work=partial(take_over, threads=threads),
        config_file=config_path,
    )


def take_over(
    config: ImportConfig,
    store: ArtifactStore,
    reporter: Reporter,
    stopping: Stopping,
    *,
    threads: int,
) -> TrainingFacts:
    """Facts about the artifact, once it is in `store` under its own digest.

    Raises ArtifactError, StoreError or SelfCheckError, with nothing written.
    """
    started, digest = time.monotonic(), config.artifact.digest
    with tempfile.TemporaryDirectory(prefix="lockstep-import-") as folder:
        reporter.report(Phase.VALIDATING)
        source, manifest = fetch_source(config, Path(folder))
        stopping.check()
        encoder = Encoder.load(Path(folder), manifest, threads=threads)
        encoder.check_golden()
        stopping.check()
        reporter.report(Phase.PUBLISHING)
        store.take_over(source, digest, Path(folder), manifest)
    return manifest.training_facts(digest, seconds=time.monotonic() - started)


def fetch_source(config: ImportConfig, into: Path) -> tuple[ArtifactStore, ModelManifest]:
    """The source and the artifact's manifest, with all of its files verified in `into`.

    Raises ArtifactError that names the field, or StoreError.
    """
    try:
        source = ArtifactStore.open_source(config.artifacts, config.artifact.uri)
        return source, source.fetch(config.artifact.digest, into, ModelManifest)
    except ArtifactError as error:
        raise ArtifactError(f"`spec.artifact` ({config.artifact.uri}): {error}") from error
