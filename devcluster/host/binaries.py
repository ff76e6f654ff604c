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
from pathlib import Path

from devcluster.host.programs import PROGRAMS, SOURCES, Bundle, Edit, Program, Trim
from devcluster.layout import bin_dir, exclusive
from devcluster.report import DevclusterError, step

HEARTBEAT_SECONDS = 20.0


def source_hash(module: str) -> str:
    """First 12 hex of the hash over everything that decides what a module builds."""
    digest = hashlib.sha256()
    for path in sorted((SOURCES / module).iterdir()):
        digest.update(f"{path.name}\0".encode() + path.read_bytes() + b"\0")
    for change in PROGRAMS[module].changes:
        # A replacement is one of the files above.
        digest.update(repr(change).encode() if isinstance(change, Edit) else b"")
    return digest.hexdigest()[:12]


def _cached(program: Program, output: str) -> Path:
    return bin_dir() / f"{output}-{source_hash(program.module)}"


def cached(module: str) -> bool:
    """Whether nothing of a module has to be built."""
    program = PROGRAMS[module]
    return all(_cached(program, output).exists() for output in program.outputs)


def ensure(module: str) -> dict[str, Path]:
    """Paths of a module's programs and bundles by name; builds them when they are not cached."""
    program = PROGRAMS[module]
    names = (*program.outputs, *(bundle.output for bundle in program.bundles))
    paths = {output: _cached(program, output) for output in names}
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


def bundle(name: str) -> Path:
    """Path of one bundle of YAML files (`gateway-crds`, …), made when it is not cached.

    The module that it comes from is fetched, nothing is built, and no build is waited for: that
    of the same module takes minutes.
    """
    for program in PROGRAMS.values():
        for wanted in (files for files in program.bundles if files.output == name):
            path = _cached(program, name)
            if path.exists():
                return path
            bin_dir().mkdir(parents=True, exist_ok=True)
            with exclusive(f"bundle-{name}"):
                if not path.exists():
                    scratch = path.with_suffix(".new")
                    scratch.write_text(_bundled(wanted, SOURCES / program.module))
                    scratch.replace(path)
            return path
    raise DevclusterError(f"no bundle {name!r}")


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
        required = re.search(rf"{re.escape(program.version_of)} (v\S+)", text)
        version = required[1] if required else "v0.0.0"
        flags += "".join(f" -X {name}={version}" for name in program.version_variables)
    return flags


def _build(program: Program, paths: dict[str, Path]) -> None:
    scratch = bin_dir() / f".{program.module}"
    # The caller holds the lock, so what is there is of a build that was cut short.
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        sources = _sources(program, scratch)
        for bundle in program.bundles:
            (scratch / bundle.output).write_text(_bundled(bundle, sources))
            (scratch / bundle.output).replace(paths[bundle.output])
        for package, output in zip(program.packages, program.outputs, strict=True):
            command = ["go", "build", "-v", "-trimpath", "-buildvcs=false", "-mod=readonly"]
            command += ["-ldflags", _ldflags(program), "-o", str(scratch / output), package]
            _run_with_heartbeat(program, command, sources)
            # A rename, so that a build cut short leaves no half-written program behind.
            (scratch / output).replace(paths[output])
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _go(sources: Path, *arguments: str) -> str:
    done = subprocess.run(["go", *arguments], cwd=sources, capture_output=True, text=True)
    if done.returncode != 0:
        raise DevclusterError(f"go {' '.join(arguments[:3])} failed: {done.stderr.strip()[-1000:]}")
    return done.stdout.strip()


def _folder(module: str, sources: Path) -> Path:
    """Where the module cache has a required module; fetched when it is not there."""
    _go(sources, "mod", "download", module)
    return Path(_go(sources, "list", "-m", "-f", "{{.Dir}}", module))


def _bundled(bundle: Bundle, sources: Path) -> str:
    files = sorted(_folder(bundle.module, sources).glob(bundle.glob))
    if not files:
        raise DevclusterError(f"{bundle.module} has no {bundle.glob}")
    return "\n---\n".join(file.read_text() for file in files)


def _sources(program: Program, scratch: Path) -> Path:
    """The folder to build in: ours, or a copy of it whose changed modules are copies too (Go
    refuses an overlay over its module cache)."""
    ours = SOURCES / program.module
    if not program.changes:
        return ours
    copy = scratch / "sources"
    shutil.copytree(ours, copy)
    for number, module in enumerate(dict.fromkeys(change.module for change in program.changes)):
        changed = copy / f"changed-{number}"
        shutil.copytree(_folder(module, copy), changed)
        # The module cache is read-only, and a copy of it could be neither changed nor removed.
        for folder in (changed, *changed.glob("**/")):
            folder.chmod(0o755)
        for change in (change for change in program.changes if change.module == module):
            _change(change, changed / change.file, ours)
        _go(copy, "mod", "edit", f"-replace={module}=./{changed.name}")
    return copy


def _change(change: Trim | Edit, file: Path, ours: Path) -> None:
    text = file.read_text()
    if isinstance(change, Trim):
        fresh = (ours / change.replacement).read_text()
    elif change.old in text:
        fresh = text.replace(change.old, change.new)
    else:
        raise DevclusterError(f"{change.module} has no {change.old} in {change.file}")
    file.unlink()
    file.write_text(fresh)


def _run_with_heartbeat(program: Program, command: list[str], sources: Path) -> None:
    environment = {**os.environ, "CGO_ENABLED": "0"}
    child = subprocess.Popen(
        command,
        cwd=sources,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(child.stderr or ()), daemon=True)
    reader.start()
    started = last = time.monotonic()
    try:
        while child.poll() is None:
            time.sleep(0.2)
            if time.monotonic() - last > HEARTBEAT_SECONDS:
                last = time.monotonic()
                compiled = sum(1 for line in list(lines) if not line.startswith("go: "))
                step(f"  {program.module}: {compiled} packages compiled in {last - started:.0f} s")
    except BaseException:
        child.terminate()
        raise
    reader.join()
    if child.returncode != 0:
        raise DevclusterError(f"building {program.module} failed:\n" + "".join(lines[-20:]))
