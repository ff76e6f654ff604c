"""Debian packages that a node needs, and their installation."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

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
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *names]
    for command in (["apt-get", "update", "-q"], install):
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            tail = "\n".join((done.stdout + done.stderr).splitlines()[-10:])
            raise DevclusterError(f"{' '.join(command)} failed:\n{tail}")
    if left := missing():
        raise DevclusterError(f"installed, but their programs are not found: {' '.join(left)}")
