"""JSON files of a folder that someone else wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lockstep_trainer.pretrained.base import NetworkError


def read_json(file: Path) -> Any:
    """Raises NetworkError that names the file."""
    try:
        return json.loads(file.read_bytes())
    except OSError as error:
        raise NetworkError(f"{file.name} cannot be read: {error}") from error
    except (ValueError, RecursionError) as error:
        raise NetworkError(f"{file.name} is no JSON: {error}") from error


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object; an empty one where there is no file. Raises NetworkError."""
    if not file.is_file():
        return {}
    content = read_json(file)
    if not isinstance(content, dict):
        raise NetworkError(f"{file.name} is no JSON object")
    return content
