"""The base image of every Dockerfile: what python:3.13-slim is, made from Debian.

The Dockerfiles say `ARG BASE=python:3.13-slim`; where no registry of images is
reached, this one takes its place and offers the same commands: `python`, `pip`,
`apt-get`.
"""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from devcluster.layout import state_root
from devcluster.report import DevclusterError, step

IMAGE = "lockstep.local/python:3.13"
SUITE = "trixie"
PACKAGES = ("ca-certificates", "python3", "python3-pip", "python3-venv")
HOST_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"

# pip in this Debian refuses to install beside the system's packages; an image is
# nobody's system. The certificates of this host that Debian does not know (a proxy's,
# say) become local ones, so that a later `update-ca-certificates` keeps them.
DOCKERFILE = f"""FROM scratch
ADD base.tar /
COPY host-bundle.crt trust.py /tmp/
RUN python3 /tmp/trust.py && update-ca-certificates && rm /tmp/host-bundle.crt /tmp/trust.py \\
 && rm -f /usr/lib/python3*/EXTERNALLY-MANAGED && ln -s /usr/bin/python3 /usr/local/bin/python
ENV LANG=C.UTF-8 SSL_CERT_FILE={BUNDLE} REQUESTS_CA_BUNDLE={BUNDLE} PIP_CERT={BUNDLE} \\
    UV_SYSTEM_CERTS=1 UV_LINK_MODE=copy PIP_ROOT_USER_ACTION=ignore
CMD ["python3"]
"""

TRUST = f"""import pathlib, re
pem = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.S)
known = set(pem.findall(pathlib.Path("{BUNDLE}").read_text()))
extra = [c for c in pem.findall(pathlib.Path("/tmp/host-bundle.crt").read_text()) if c not in known]
folder = pathlib.Path("/usr/local/share/ca-certificates")
folder.mkdir(parents=True, exist_ok=True)
for number, certificate in enumerate(extra):
    (folder / f"host-{{number}}.crt").write_text(certificate + "\\n")
"""


def _host_bundle() -> str:
    return HOST_BUNDLE.read_text() if HOST_BUNDLE.exists() else ""


def _file_system() -> Path:
    key = hashlib.sha256(" ".join((SUITE, *PACKAGES)).encode()).hexdigest()[:12]
    return state_root() / "base" / f"{SUITE}-{key}.tar"


def is_made() -> bool:
    """Whether the file system under the image was made before."""
    return _file_system().exists()


def marked_image() -> str:
    """A second name of the base image that tells what it was made from."""
    inputs = "\0".join((_file_system().name, DOCKERFILE, TRUST, _host_bundle()))
    return f"{IMAGE}-{hashlib.sha256(inputs.encode()).hexdigest()[:12]}"


def write_context(folder: Path) -> None:
    """Fill a build context; the caller holds the lock that keeps two from making it."""
    tar = _file_system()
    if not tar.exists():
        tar.parent.mkdir(parents=True, exist_ok=True)
        step(f"installing a minimal Debian {SUITE} with Python for the base image (30 s)")
        scratch = tar.with_suffix(".part.tar")
        packages = f"--include={','.join(PACKAGES)}"
        command = ["mmdebstrap", "--variant=minbase", packages, SUITE, str(scratch)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            tail = "\n".join(done.stderr.splitlines()[-10:])
            raise DevclusterError(f"mmdebstrap failed:\n{tail}")
        scratch.replace(tar)
    (folder / "base.tar").hardlink_to(tar)
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "trust.py").write_text(TRUST)
    (folder / "host-bundle.crt").write_text(_host_bundle())
