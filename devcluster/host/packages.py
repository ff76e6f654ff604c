"""Debian packages: what a node needs is installed, single programs are only unpacked."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from devcluster.layout import bin_dir, exclusive
from devcluster.report import DevclusterError, step

# Package: a program or file that proves it is there (so that a machine which has
# the program from elsewhere is left alone).
NODE_PACKAGES = {
    "containerd": "containerd",
    "runc": "runc",
    "containernetworking-plugins": "/usr/lib/cni/ptp",
    "iptables": "iptables",
    "nftables": "nft",
    "conntrack": "conntrack",
    "mmdebstrap": "mmdebstrap",
    "openssl": "openssl",
    "iproute2": "ip",
}

# Programs, and their packages, which would start a service when installed.
UNPACKED = {"prometheus": "prometheus", "promtool": "prometheus"}


def _there(proof: str) -> bool:
    return Path(proof).exists() if proof.startswith("/") else shutil.which(proof) is not None


def missing() -> list[str]:
    """Names of the packages whose programs are not on this machine."""
    return [name for name, proof in NODE_PACKAGES.items() if not _there(proof)]


def ensure() -> None:
    """Install what is missing; without root or apt-get, say what to install."""
    names = missing()
    if not names:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise DevclusterError(
            "these Debian packages (or the same programs from elsewhere) are needed: "
            + " ".join(names)
        )
    step(f"installing Debian packages: {' '.join(names)}")
    _run("apt-get", "update", "-q")
    _run("apt-get", "install", "-y", "-q", "--no-install-recommends", *names)
    if left := missing():
        raise DevclusterError(f"installed, but their programs are not found: {' '.join(left)}")


def found(program: str) -> Path | None:
    """Where a program of UNPACKED is: this machine's own, or one that was unpacked before."""
    if own := shutil.which(program):
        return Path(own)
    unpacked = bin_dir() / program
    return unpacked if unpacked.exists() else None


def unpack(program: str) -> Path:
    """Path of a program of UNPACKED; its package is fetched and unpacked, never installed, so
    that no service starts and, where apt knows the package already, no root is needed."""
    if there := found(program):
        return there
    package = UNPACKED[program]
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise DevclusterError(f"{program} is needed: install it, or Debian's {tool}")
    bin_dir().mkdir(parents=True, exist_ok=True)
    with exclusive(f"unpack-{package}"), tempfile.TemporaryDirectory(dir=bin_dir()) as name:
        if there := found(program):
            return there
        step(f"fetching Debian's {package}")
        folder = Path(name)
        _fetch(package, folder)
        _run("dpkg-deb", "-x", str(next(folder.glob("*.deb"))), str(folder))
        for other in (other for other, holder in UNPACKED.items() if holder == package):
            (folder / "usr" / "bin" / other).replace(bin_dir() / other)
    return bin_dir() / program


def _fetch(package: str, folder: Path) -> None:
    """Download a package's file; as root with a fresh index, when the old one is outdated."""
    try:
        _run("apt-get", "download", "-q", package, cwd=folder)
    except DevclusterError:
        if os.geteuid() != 0:
            raise
        _run("apt-get", "update", "-q")
        _run("apt-get", "download", "-q", package, cwd=folder)


def _run(*command: str, cwd: Path | None = None) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True)
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-10:])
        raise DevclusterError(f"{' '.join(command)} failed:\n{tail}")
