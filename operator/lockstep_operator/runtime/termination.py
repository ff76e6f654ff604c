"""Why the operator ended, where `kubectl describe pod` shows it; codes are in `--help`."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from lockstep_core.protocol.environment import (
    TERMINATION_LIMIT,
    TERMINATION_PATH,
    TERMINATION_PATH_VARIABLE,
)

FAILED = 1

logger = logging.getLogger(__name__)


def write(reason: str) -> None:
    """Writes one line where the kubelet reads it; nothing outside of a pod.

    Without it the kubelet takes the last lines of the log, which may be a traceback.
    """
    chosen = os.environ.get(TERMINATION_PATH_VARIABLE)
    path = Path(chosen or TERMINATION_PATH)
    # The kubelet mounts the file. Outside of a pod there is none, and none is made in /dev.
    if not chosen and not path.exists():
        return
    text = " ".join(reason.split()).encode()[:TERMINATION_LIMIT].decode(errors="ignore")
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        logger.warning("no termination message", extra={"path": str(path), "error": str(error)})
