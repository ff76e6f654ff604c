"""Build the Go programs from the module cache, once per hash of their sources.

No registry of binaries has a kube-apiserver; the Go module proxy has its source.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from devcluster.layout import bin_dir, exclusive
from devcluster.report import DevclusterError, step

SOURCES = Path(__file__).resolve().parent.parent / "go"
HEARTBEAT_SECONDS = 20.0


@dataclass(frozen=True)
class Program:
    """A Go module of ours, the packages to build from it, and what it costs when cold."""

    module: str
    packages: tuple[str, ...]
    outputs: tuple[str, ...]
    cold: str
    version_of: str = ""
    version_variables: tuple[str, ...] = ()


PROGRAMS = {
    program.module: program
    for program in (
        # Without a version in these variables clients misread the server's version.
        Program(
            "kubernetes",
            (".",),
            ("kubernetes",),
            "10 minutes",
            "k8s.io/kubernetes",
            (
                "k8s.io/component-base/version.gitVersion",
                "k8s.io/client-go/pkg/version.gitVersion",
            ),
        ),
        Program(
            "buildkit",
            (
                "github.com/moby/buildkit/cmd/buildctl",
                "github.com/moby/buildkit/cmd/buildkitd",
            ),
            ("buildctl", "buildkitd"),
            "3 minutes",
        ),
        Program("coredns", (".",), ("coredns",), "2 minutes"),
        Program(
            "versitygw",
            ("github.com/versity/versitygw/cmd/versitygw",),
            ("versitygw",),
            "2 minutes",
        ),
        Program("pause", (".",), ("pause",), "seconds"),
    )
}


def source_hash(module: str) -> str:
    """First 12 hex of the hash over everything that decides what a module builds."""
    digest = hashlib.sha256()
    for path in sorted((SOURCES / module).iterdir()):
        digest.update(f"{path.name}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _cached(program: Program, output: str) -> Path:
    return bin_dir() / f"{output}-{source_hash(program.module)}"


def ensure(module: str) -> dict[str, Path]:
    """Paths of a module's programs by name; builds them when they are not cached."""
    program = PROGRAMS[module]
    paths = {output: _cached(program, output) for output in program.outputs}
    if all(path.exists() for path in paths.values()):
        return paths
    if shutil.which("go") is None:
        raise DevclusterError(f"{module} is built from source: Go 1.25 or later is needed")
    bin_dir().mkdir(parents=True, exist_ok=True)
    with exclusive(f"build-{module}"):
        if not all(path.exists() for path in paths.values()):
            step(f"building {module} ({program.cold} when nothing is cached)")
            _build(program, paths)
            step(f"built {module}")
    return paths


def binary(name: str) -> Path:
    """Path of one program (`kubernetes`, `buildkitd`, …), built when it is not cached."""
    for program in PROGRAMS.values():
        if name in program.outputs:
            return ensure(program.module)[name]
    raise DevclusterError(f"no program {name!r}")


def kubectl() -> Path:
    """A link named kubectl to the Kubernetes binary, which answers to its own name."""
    target = binary("kubernetes")
    link = bin_dir() / "kubectl"
    if not link.is_symlink() or str(link.readlink()) != target.name:
        fresh = bin_dir() / f".kubectl-{os.getpid()}"
        fresh.symlink_to(target.name)
        fresh.replace(link)
    return link


def _ldflags(program: Program) -> str:
    flags = "-s -w"
    if program.version_of:
        text = (SOURCES / program.module / "go.mod").read_text()
        found = re.search(rf"{re.escape(program.version_of)} (v\S+)", text)
        version = found[1] if found else "v0.0.0"
        flags += "".join(f" -X {name}={version}" for name in program.version_variables)
    return flags


def _build(program: Program, paths: dict[str, Path]) -> None:
    scratch = bin_dir() / f".{program.module}"
    # The caller holds the lock, so what is there is of a build that was cut short.
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        for package, output in zip(program.packages, program.outputs, strict=True):
            command = ["go", "build", "-v", "-trimpath", "-buildvcs=false", "-mod=readonly"]
            command += ["-ldflags", _ldflags(program), "-o", str(scratch / output), package]
            _run_with_heartbeat(program, command)
            # A rename, so that a build cut short leaves no half-written program behind.
            (scratch / output).replace(paths[output])
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _run_with_heartbeat(program: Program, command: list[str]) -> None:
    environment = {**os.environ, "CGO_ENABLED": "0"}
    child = subprocess.Popen(
        command,
        cwd=SOURCES / program.module,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(child.stderr or ()), daemon=True)
    reader.start()
    started = last = time.monotonic()
    while child.poll() is None:
        time.sleep(0.2)
        if time.monotonic() - last > HEARTBEAT_SECONDS:
            last = time.monotonic()
            compiled = sum(1 for line in list(lines) if not line.startswith("go: "))
            step(f"  {program.module}: {compiled} packages compiled in {last - started:.0f} s")
    reader.join()
    if child.returncode != 0:
        raise DevclusterError(f"building {program.module} failed:\n" + "".join(lines[-20:]))
