"""Closed windows as files in the folder of the pod: a monitor that begins again has them still.

They are sums, as everything that a monitor gives away. They go with the pod.
"""

from __future__ import annotations

import logging
from pathlib import Path

from lockstep_core.drift.errors import DriftError
from lockstep_core.drift.sketch_wire import MAX_BYTES, sketch_from_json
from lockstep_monitor.closed import Closed

logger = logging.getLogger(__name__)
FOLDER = "windows"


class Kept:
    """Below `directory`. Nothing of it raises: without files a monitor remembers less."""

    def __init__(self, directory: Path, features_digest: str) -> None:
        self._folder = directory / FOLDER
        self._digest = features_digest

    def _path(self, window: int, role: str) -> Path:
        return self._folder / f"{window}-{role}.json"

    def put(self, closed: Closed) -> None:
        try:
            self._folder.mkdir(exist_ok=True)
            part = self._folder / ".part"
            part.write_bytes(closed.wire)
            part.replace(self._path(closed.window, closed.sketch.role))
        except OSError as error:
            logger.warning("window %d is kept in memory alone: %s", closed.window, error)

    def drop(self, closed: Closed) -> None:
        try:
            self._path(closed.window, closed.sketch.role).unlink(missing_ok=True)
        except OSError as error:
            logger.warning("window %d cannot be removed: %s", closed.window, error)

    def load(self) -> list[Closed]:
        """Those of these features, oldest first; any other file is removed."""
        found: list[Closed] = []
        try:
            for path in self._folder.iterdir():
                if (closed := self._read(path)) is None:
                    path.unlink(missing_ok=True)
                else:
                    found.append(closed)
        except FileNotFoundError:
            pass
        except OSError as error:
            logger.warning("earlier windows cannot be read: %s", error)
        return sorted(found, key=lambda closed: (closed.window, closed.sketch.role))

    def _read(self, path: Path) -> Closed | None:
        if path.stat().st_size > MAX_BYTES:
            return None
        data = path.read_bytes()
        try:
            sketch = sketch_from_json(data)
        except DriftError:
            return None
        if sketch.features_digest != self._digest or sketch.span.windows != 1:
            return None
        return Closed(sketch.span.first, sketch, data)
