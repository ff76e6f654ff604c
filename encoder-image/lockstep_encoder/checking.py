"""`lockstep-encoder check`: are the files of a release still in its store, and whole?

A pod verifies its files when it starts and never again, so a file that is lost later is seen by
the next pod alone. This reads every byte of the model and of the builds beside what serves. A store
that cannot be reached is no verdict: the Job ends by 74, and nothing is said of the files.
"""

from __future__ import annotations

import time
from pathlib import Path

from lockstep_core.artifacts import (
    ArtifactDamaged,
    ArtifactError,
    ArtifactStore,
    BuildManifest,
    ModelManifest,
    StoreError,
)
from lockstep_core.jobs import Reporter, Stopping, run_job
from lockstep_core.jobs.failure import damage_of
from lockstep_core.protocol.base import Sha256
from lockstep_core.protocol.config import CheckConfig
from lockstep_core.protocol.progress import Phase
from lockstep_core.protocol.result import MAX_DAMAGED, CheckFacts, Damage, Program

# Three of them fit into a termination message with their digests.
MESSAGE_BYTES = 400


def check(config_path: Path | None) -> int:
    """Runs the Job; returns the exit code. It writes nothing into the store."""
    return run_job(
        program=Program.CHECK,
        config_type=CheckConfig,
        work=read_all,
        config_file=config_path,
        kept=False,
    )


def read_all(
    config: CheckConfig, store: ArtifactStore, reporter: Reporter, stopping: Stopping
) -> CheckFacts:
    """Reads every artifact of `config`, and goes on past one that is damaged.

    Raises StoreError where the store does not answer, and where it holds nothing at all.
    """
    started = time.monotonic()
    kinds: dict[Sha256, type[ModelManifest] | type[BuildManifest]] = {
        **dict.fromkeys(config.builds, BuildManifest),
        config.artifact_digest: ModelManifest,
    }
    damaged: list[Damage] = []
    read = 0
    for done, (digest, kind) in enumerate(kinds.items()):
        stopping.check()
        reporter.report(Phase.VALIDATING, done, len(kinds))
        try:
            manifest = store.verify(digest, kind)
        except ArtifactDamaged as error:
            damaged.append(damage_of(error, MESSAGE_BYTES))
        except ArtifactError as error:
            told = damage_of(ArtifactDamaged(str(error), digest), MESSAGE_BYTES)
            damaged.append(told)
        else:
            read += sum(entry.bytes for entry in manifest.files)
    if len(damaged) == len(kinds) and store.is_empty():
        # A volume that is not mounted, or another bucket: that says nothing of the files.
        raise StoreError(
            f"{config.artifacts.uri} holds no artifact at all: is it the volume or the bucket that"
            " the release was published to? If all of it is lost, restore it from a copy"
        )
    return CheckFacts(
        artifacts=len(kinds),
        bytes=read,
        damaged=tuple(damaged[:MAX_DAMAGED]),
        more=len(damaged[MAX_DAMAGED:]),
        seconds=time.monotonic() - started,
    )
