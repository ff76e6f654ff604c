"""The files that commands are given, and how what is wrong with them is said."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from lockstep_core.jobs import JobFailure
from lockstep_core.protocol.datasets import LabelledDataset
from lockstep_core.protocol.exitcodes import ExitCode


def read_data(file: Path) -> LabelledDataset:
    """Raises JobFailure (BAD_CONFIG) that names the file and the field."""
    try:
        return LabelledDataset.model_validate_json(file.read_bytes())
    except OSError as error:
        raise bad_config(f"{file} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise bad_config(f"{file}: {first_error(error)}") from error


def first_error(error: ValidationError) -> str:
    """The field and what is wrong with it."""
    wrong = error.errors(include_url=False)[0]
    where = ".".join(map(str, wrong["loc"]))
    return f"{where}: {wrong['msg']}" if where else wrong["msg"]


def bad_config(message: str) -> JobFailure:
    return JobFailure(ExitCode.BAD_CONFIG, "BadConfig", message)
