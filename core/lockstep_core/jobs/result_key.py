"""Which question a Job answers, and whether a kept report is the answer to it. Pure."""

from __future__ import annotations

import hashlib
import json

from lockstep_core.protocol.config import JobConfig
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.result import Program, Result

# Whose Job it is and where the answer is kept. The rest of a config is the question, so that a
# field which comes later belongs to it, unless somebody decides otherwise here.
_NOT_ASKED = frozenset({"release", "releaseUID", "artifacts"})

# Training, importing and building make artifacts, which are addressed by their content: one that is
# whole answers every attempt, and may cost hours to make anew. Measuring makes nothing, and a
# person who retries it has changed what is measured, such as the file behind an unpinned data set.
_ANSWERS_EVERY_ATTEMPT = frozenset({Program.TRAIN, Program.IMPORT, Program.BUILD})

# What a training is only compared with: another one makes no other model.
_BESIDE = {Program.TRAIN: frozenset({"stableArtifactDigest"})}


def result_key(program: Program, config: JobConfig) -> str:
    """Under which the result is kept, beside those of the same release uid: `train-<16 hex>`.

    Equal keys mean the same question: every field of the config but whose and where. A pod that
    replaces a lost one has the same config, so it finds what the lost one reported; a Job that
    asks for another k, another stable release, another recipe or other pinned data does not.
    """
    left_out = _NOT_ASKED | _BESIDE.get(program, frozenset())
    if program in _ANSWERS_EVERY_ATTEMPT:
        left_out |= {"attempt"}
    asked = {name: value for name, value in config.to_wire().items() if name not in left_out}
    canonical = json.dumps(asked, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    return f"{program.value.lower()}-{digest[:16]}"


def answers(result: Result, program: Program) -> bool:
    """Whether a kept result is a success of `program` with the facts that belong to it."""
    facts = {
        Program.TRAIN: result.training,
        Program.IMPORT: result.training,
        Program.EVALUATE: result.evaluation,
        Program.BUILD: result.build,
        Program.REPLAY: result.replay,
    }
    whole = result.program is program and result.exit_code is ExitCode.OK
    return whole and facts.get(program) is not None
