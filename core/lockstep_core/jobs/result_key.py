"""Under which key a Job's result is kept, and whether a kept result is of use. Pure."""

from __future__ import annotations

import hashlib
import json

from lockstep_core.protocol.config import JobConfig
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.result import Program, Result

# Whose Job it is and where its result is kept. The rest of a config is part of the key, so that a
# field which comes later is too, unless somebody decides otherwise here.
_NOT_IN_KEY = frozenset({"release", "releaseUID", "artifacts"})

# Training, importing and building make artifacts, which are addressed by their content: one that is
# intact serves every attempt, and may cost hours to make anew. Measuring makes nothing, and a
# person who retries it has changed what is measured, such as the file behind an unpinned data set.
_SERVES_EVERY_ATTEMPT = frozenset({Program.TRAIN, Program.IMPORT, Program.BUILD})

# What a training is only compared with: another one makes no other model.
_ONLY_COMPARED_WITH = {Program.TRAIN: frozenset({"stableArtifactDigest"})}


def result_key(program: Program, config: JobConfig) -> str:
    """Under which the result is kept, beside those of the same release uid: `train-<16 hex>`.

    Equal keys mean the same work: every field of the config but whose and where. A pod that
    replaces a lost one has the same config, so it finds what the lost one reported; a Job that
    asks for another k, another stable release, another recipe or other pinned data does not.
    """
    left_out = _NOT_IN_KEY | _ONLY_COMPARED_WITH.get(program, frozenset())
    if program in _SERVES_EVERY_ATTEMPT:
        left_out |= {"attempt"}
    identifying = {name: value for name, value in config.to_wire().items() if name not in left_out}
    canonical = json.dumps(identifying, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    return f"{program.value.lower()}-{digest[:16]}"


def is_success_of(result: Result, program: Program) -> bool:
    """Whether a kept result is a success of `program` with the facts that belong to it."""
    facts = {
        Program.TRAIN: result.training,
        Program.IMPORT: result.training,
        Program.EVALUATE: result.evaluation,
        Program.BUILD: result.build,
        Program.REPLAY: result.replay,
        Program.CHECK: result.check,
    }
    ended_well = result.program is program and result.exit_code is ExitCode.OK
    return ended_well and facts.get(program) is not None
