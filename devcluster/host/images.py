"""Images on the node: the static ones, builds by BuildKit, and the list."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from devcluster.host import base, binaries, oci
from devcluster.host.state import Cluster
from devcluster.layout import exclusive
from devcluster.report import DevclusterError, step

PAUSE_IMAGE = "localhost/pause:1"
# Nobody could pull an image again that the kubelet removed. containerd knows this label from 1.7
# on; for the older one of Debian bookworm the kubelet is kept from it (`node._kubelet_config`).
PINNED = "io.cri-containerd.pinned=pinned"
COREDNS_REPOSITORY = "lockstep.local/coredns"
# Of BuildKit, in MB of 10^6 bytes: what no image on the node shares. Packages that builds keep are
# 6,300 of them, and a trainer's layer that another took the place of 12,500.
CACHE_BOUND_MB = 12_000
KEEP_FREE_MB = 5_000
_UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def check_name(image: str) -> str:
    """The name, if a pod that says it gets the image that was stored under it.

    The grammar of image references puts a public registry in front of a name without a domain;
    BuildKit stores names as they are given. So a name must begin with a domain.
    """
    first, slash, _ = image.partition("/")
    if not slash or not ("." in first or ":" in first or first == "localhost"):
        raise DevclusterError(
            f"the image {image} must be named with a domain, such as lockstep.local/{image}"
        )
    return image


class Image(TypedDict):
    """One name on the node; size in bytes as stored, shared layers counted each time."""

    name: str
    digest: str
    size: int


def _ctr(cluster: Cluster, *arguments: str) -> subprocess.CompletedProcess[str]:
    address = f"--address={cluster.layout.containerd_socket}"
    return subprocess.run(
        ["ctr", address, "--namespace=k8s.io", *arguments], capture_output=True, text=True
    )


def runtime_answers(cluster: Cluster) -> bool:
    return _ctr(cluster, "version").returncode == 0


def listing(cluster: Cluster) -> list[Image]:
    """Images by name, without the second names that the runtime makes by digest."""
    return [image for image in _all_names(cluster) if not _is_second_name(image["name"])]


def _is_second_name(name: str) -> bool:
    return "@" in name or name.startswith("sha256:")


def _all_names(cluster: Cluster) -> list[Image]:
    done = _ctr(cluster, "images", "ls")
    if done.returncode != 0:
        raise DevclusterError(f"the node's images cannot be listed: {done.stderr.strip()}")
    line = re.compile(r"(\S+)\s+\S+\s+(sha256:\S+)\s+([\d.]+) (B|KiB|MiB|GiB)\s")
    matches = [line.match(text) for text in done.stdout.splitlines()]
    return [
        Image(name=match[1], digest=match[2], size=int(float(match[3]) * _UNITS[match[4]]))
        for match in matches
        if match
    ]


def _drop_superseded(cluster: Cluster) -> None:
    """Forget the images that a rebuild took the name from.

    The runtime keeps a second name by digest for each, and with it gigabytes of layers.
    """
    images = _all_names(cluster)
    named = {image["digest"] for image in images if not _is_second_name(image["name"])}
    for image in images:
        if image["digest"] not in named:
            _ctr(cluster, "images", "rm", image["name"])


def has(cluster: Cluster, image: str) -> bool:
    return bool(_ctr(cluster, "images", "ls", "-q", f"name=={image}").stdout.strip())


def whole(listed: str) -> set[str]:
    """The names in the output of `ctr images check` whose every part is on the node."""
    rows = (line.split() for line in listed.splitlines()[1:])
    return {row[0] for row in rows if "complete" in row[3:4]}


def lost(cluster: Cluster) -> list[str]:
    """Images that pods count on and the node has not: no pod of theirs could start."""
    if cluster.processes.alive("containerd") is None:
        return []
    there = whole(_ctr(cluster, "images", "check").stdout)
    wanted = (*static(), *loaded(cluster))
    return [image for image in wanted if image not in there]


def static() -> tuple[str, ...]:
    """The images that every node has: without the first no pod starts at all."""
    return (PAUSE_IMAGE, coredns_image())


def loaded(cluster: Cluster) -> list[str]:
    """Names of the images that `load` has built."""
    try:
        return list(json.loads(cluster.layout.loaded_images.read_text()))
    except FileNotFoundError:
        return []


def _keep(cluster: Cluster, image: str) -> None:
    """Pin an image that was loaded, and remember it, so that `up` misses it."""
    _pin(cluster, image)
    with exclusive(f"images-{cluster.layout.name}"):
        names = json.dumps(sorted({*loaded(cluster), image}), indent=2)
        scratch = cluster.layout.loaded_images.with_suffix(".part")
        scratch.write_text(f"{names}\n")
        scratch.replace(cluster.layout.loaded_images)


def _pin(cluster: Cluster, image: str) -> None:
    done = _ctr(cluster, "images", "label", image, PINNED)
    if done.returncode != 0:
        raise DevclusterError(f"pinning {image} failed: {done.stderr.strip()}")


def coredns_image() -> str:
    return f"{COREDNS_REPOSITORY}:{binaries.source_hash('coredns')}"


def import_static(cluster: Cluster) -> None:
    """Import the images of pause and CoreDNS where they are missing, and pin them."""
    missing = lost(cluster)
    for image, program in ((PAUSE_IMAGE, "pause"), (coredns_image(), "coredns")):
        if image in missing:
            _import(cluster, image, program)
        _pin(cluster, image)


def _import(cluster: Cluster, image: str, program: str) -> None:
    with tempfile.TemporaryDirectory(dir=cluster.layout.root) as folder:
        archive = Path(folder) / "image.tar"
        oci.write_archive(
            archive, image=image, program=binaries.binary(program), entrypoint=program
        )
        done = _ctr(cluster, "images", "import", str(archive))
    if done.returncode != 0:
        raise DevclusterError(f"importing {image} failed: {done.stderr.strip()}")


def _builder_answers(cluster: Cluster) -> bool:
    return _buildctl(cluster, ["debug", "workers"], quiet=True) == 0


def _buildctl(cluster: Cluster, arguments: Sequence[str], *, quiet: bool = False) -> int:
    program = binaries.binary("buildctl")
    sink = subprocess.DEVNULL if quiet else None
    return subprocess.run(
        [program, f"--addr=unix://{cluster.layout.buildkit_socket}", *arguments],
        stdout=sink if quiet else 2,
        stderr=sink,
        # Its spans would otherwise go to whatever collector the environment names.
        env={k: v for k, v in os.environ.items() if not k.startswith("OTEL_")},
    ).returncode


def prune(cluster: Cluster) -> None:
    """Hold the build cache to its bound now; BuildKit's own collector comes only now and then."""
    bounds = (f"--keep-storage={CACHE_BOUND_MB}", f"--free-storage={KEEP_FREE_MB}")
    _buildctl(cluster, ["prune", *bounds], quiet=True)


def ensure_base(cluster: Cluster) -> None:
    """Put the base image on the node, from the cached file system when there is one."""
    marker = base.marked_image()
    with exclusive("base-image"):
        if has(cluster, marker) and has(cluster, base.IMAGE):
            return
        with tempfile.TemporaryDirectory(dir=cluster.layout.root) as folder:
            context = Path(folder)
            base.write_context(context)
            step(f"building the base image {base.IMAGE}")
            _build(
                cluster,
                names=[base.IMAGE, marker],
                file=context / "Dockerfile",
                context=context,
                build_args={},
            )
        for image in listing(cluster):
            if image["name"].startswith(f"{base.IMAGE}-") and image["name"] != marker:
                _ctr(cluster, "images", "rm", image["name"])


def build(
    cluster: Cluster, *, image: str, file: Path, context: Path, build_args: dict[str, str]
) -> None:
    """Build a Dockerfile into the node's own image store; BASE is ours unless given."""
    if ":" not in image.rpartition("/")[2]:
        raise DevclusterError(f"--image {image!r} needs a tag (and not latest: pods would pull it)")
    for path in (file, context):
        if not path.exists():
            raise DevclusterError(f"{path} does not exist")
    # An up may have started the builder a moment ago.
    cluster.processes.wait(
        "BuildKit does not answer",
        lambda: _builder_answers(cluster),
        needs=["buildkitd"],
        timeout=30,
    )
    ensure_base(cluster)
    step(f"building {image} from {file}")
    _build(
        cluster,
        names=[image],
        file=file,
        context=context,
        build_args={"BASE": base.IMAGE, **build_args},
    )
    _keep(cluster, image)
    _drop_superseded(cluster)
    prune(cluster)
    step(f"{image} is on the node")


def _build(
    cluster: Cluster, *, names: list[str], file: Path, context: Path, build_args: dict[str, str]
) -> None:
    options = [f"build-arg:{name}={value}" for name, value in build_args.items()]
    # The base exists only here: ask the node's store before any registry.
    options += [f"filename={file.name}", "image-resolve-mode=local"]
    stored = ",".join(check_name(name) for name in names)
    output = f'type=image,"name={stored}",compression=uncompressed,unpack=true'
    arguments = ["build", "--frontend=dockerfile.v0", "--progress=auto"]
    arguments += [f"--local=context={context}", f"--local=dockerfile={file.parent}"]
    arguments += [f"--opt={option}" for option in options]
    arguments += [f"--output={output}"]
    if _buildctl(cluster, arguments) != 0:
        raise DevclusterError(f"building {names[0]} failed; BuildKit's output is above")
