"""The life of a Job: config, earlier result, work, result. The same for every program."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from lockstep_core.artifacts import ArtifactError, ArtifactStore, BuildManifest, ModelManifest
from lockstep_core.jobs.failure import JobFailure, as_failure
from lockstep_core.jobs.outcome import Facts, emit, failed, success
from lockstep_core.jobs.reporter import Reporter
from lockstep_core.jobs.result_key import is_success_of, result_key
from lockstep_core.jobs.stopping import Stopping
from lockstep_core.protocol.base import Contract
from lockstep_core.protocol.config import JobConfig
from lockstep_core.protocol.environment import CONFIG_VARIABLE, PROGRESS_PORT
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.logs import log_to_stderr
from lockstep_core.protocol.progress import Phase
from lockstep_core.protocol.result import Program, Result

log = logging.getLogger(__name__)

C = TypeVar("C", bound=JobConfig)
AnyConfig = TypeVar("AnyConfig", bound=Contract)
Work = Callable[[C, ArtifactStore, Reporter, Stopping], Facts]


def run_job(
    *,
    program: Program,
    config_type: type[C],
    work: Work[C],
    config_file: Path | None = None,
    kept: bool = True,
) -> int:
    """Runs `work` once per release uid and `result_key` and returns the exit code.

    Without `kept` it runs `work` each time, and writes nothing into the store.

    The config is read from `config_file`, else from `LOCKSTEP_CONFIG`. If an earlier run reported
    success and its artifact still verifies, that report is given again (reason `AlreadyDone`).
    Whatever happens, a `Result` goes to the termination message and to standard output.
    """
    log_to_stderr()
    stopping = Stopping()
    stopping.listen()
    try:
        result = _run(program, load_config(config_type, config_file), work, stopping, kept)
    except Exception as error:
        failure = as_failure(error)
        log.error("%s: %s", failure.reason, failure.message, exc_info=error)
        result = failed(program, failure)
    return emit(result)


def _run(program: Program, config: C, work: Work[C], stopping: Stopping, kept: bool) -> Result:
    reporter = Reporter(program.value, config.release)
    reporter.serve(PROGRESS_PORT)
    try:
        store = ArtifactStore.open(config.artifacts)
        name = result_key(program, config)
        earlier = store.get_result(config.release_uid, name) if kept else None
        if earlier is not None and _still_holds(earlier, program, store, reporter.warn):
            return earlier.replace(reason="AlreadyDone")
        stopping.check()
        result = success(program, work(config, store, reporter, stopping))
        if kept:
            replace = earlier is not None
            _keep(store, config.release_uid, name, result, reporter, replace=replace)
        reporter.report(Phase.DONE)
        return result
    finally:
        reporter.close()


def earlier_result(
    program: Program, config: JobConfig, store: ArtifactStore, warn: Callable[[str], None]
) -> Result | None:
    """What an earlier run with the same key reported, if it was a success that still holds."""
    earlier = store.get_result(config.release_uid, result_key(program, config))
    if earlier is None or not _still_holds(earlier, program, store, warn):
        return None
    return earlier


def _still_holds(
    earlier: Result, program: Program, store: ArtifactStore, warn: Callable[[str], None]
) -> bool:
    """An evaluation publishes nothing, so its report stands alone."""
    if not is_success_of(earlier, program):
        warn(f"the result kept from an earlier run is no success of {program}: not used")
        return False
    try:
        if earlier.training is not None:
            store.verify(earlier.training.artifact_digest, ModelManifest)
        if earlier.build is not None:
            store.verify(earlier.build.build_digest, BuildManifest)
    except ArtifactError as error:
        warn(f"an earlier run reported success, but its artifact is gone: {error}")
        return False
    return True


def _keep(
    store: ArtifactStore,
    release_uid: str,
    name: str,
    result: Result,
    reporter: Reporter,
    *,
    replace: bool,
) -> None:
    """The artifact is published and the facts are known: a report that cannot be kept only means
    that a lost pod repeats the work, so it must not turn success into failure."""
    try:
        store.put_result(release_uid, name, result, replace=replace)
    except Exception as error:
        reporter.warn(f"the result could not be kept in the store: {error}")


def load_config(config_type: type[AnyConfig], config_file: Path | None) -> AnyConfig:
    """The config of this process; raises JobFailure (exit 2) that names every wrong field."""
    source = str(config_file) if config_file else CONFIG_VARIABLE
    return parse_config(config_type, _config_text(config_file), source=source)


def parse_config(config_type: type[AnyConfig], text: str, *, source: str) -> AnyConfig:
    """JSON of `source` as a contract; raises JobFailure (exit 2) that names every wrong field."""
    try:
        return config_type.model_validate_json(text)
    except ValidationError as error:
        lines = [
            f"{'.'.join(map(str, item['loc'])) or 'config'}: {item['msg']}"
            f" (got {_brief(item['input'])})"
            for item in error.errors(include_url=False)
        ]
        message = f"{source} is not a valid {config_type.__name__}: {'; '.join(lines)}"
        raise JobFailure(ExitCode.BAD_CONFIG, "BadConfig", message) from error


def _config_text(config_file: Path | None) -> str:
    try:
        text = config_file.read_text("utf-8") if config_file else os.environ.get(CONFIG_VARIABLE)
    except (OSError, ValueError) as error:
        message = f"--config {config_file} cannot be read: {error}"
        raise JobFailure(ExitCode.BAD_CONFIG, "BadConfig", message) from error
    if not text:
        message = f"no config: set {CONFIG_VARIABLE}, or give --config FILE"
        raise JobFailure(ExitCode.BAD_CONFIG, "BadConfig", message)
    return text


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
