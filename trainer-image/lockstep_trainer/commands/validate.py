"""`lockstep-train validate`: everything that is wrong, before a second of training."""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path

from pydantic import ValidationError

from lockstep_core.artifacts import ArtifactStore
from lockstep_core.jobs import JobFailure, as_failure, load_config, log_to_stderr
from lockstep_core.jobs.outcome import failed, write_termination_message
from lockstep_core.protocol.config import TrainConfig
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.result import Program
from lockstep_trainer.validation.advice import config_problems
from lockstep_trainer.validation.data import failure_of
from lockstep_trainer.validation.examination import examine
from lockstep_trainer.validation.report import Finding, ValidationReport, report_of

log = logging.getLogger(__name__)


def validate(config_file: Path | None) -> int:
    """Prints a `ValidationReport` and, on standard error, its lines; returns the exit code.

    A failure also goes to the termination message, as the `Result` that every Job leaves there.
    """
    log_to_stderr()
    failure = None
    try:
        config = load_config(TrainConfig, config_file)
        store = ArtifactStore.open(config.artifacts)
        with tempfile.TemporaryDirectory(prefix="lockstep-validate-") as folder:
            examination = examine(config.training, store, Path(folder), config.artifacts)
    except Exception as error:
        failure = as_failure(error)
        if failure.code is ExitCode.INTERNAL:
            log.error("%s", failure.message, exc_info=error)
        report = _refusal(failure)
    else:
        failure = failure_of(examination)
        report = report_of(config, examination, failure)
    _show(report)
    if failure is not None:
        write_termination_message(failed(Program.TRAIN, failure))
    return int(report.exit_code)


def _show(report: ValidationReport) -> None:
    for line in report.lines():
        print(line, file=sys.stderr)
    print(report.to_json(), flush=True)


def _refusal(failure: JobFailure) -> ValidationReport:
    """When not even the config or the store could be read."""
    findings: tuple[Finding, ...] = (Finding(what=failure.message, count=1),)
    if isinstance(cause := failure.__cause__, ValidationError):
        findings = tuple(map(Finding.of, config_problems(cause, TrainConfig)))
    return ValidationReport(exit_code=failure.code, reason=failure.reason, errors=findings)
