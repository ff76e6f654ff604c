"""`python3 -m devcluster VERB`: the command line."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from devcluster import disk, helm
from devcluster.backend import Backend, Build, UpOptions, choose
from devcluster.host import binaries, envoy, gateway, metrics, packages, prometheus
from devcluster.host.backend import HostBackend
from devcluster.host.processes import run_when_idle
from devcluster.host.programs import PROGRAMS
from devcluster.host.s3 import DEFAULT_PORT, S3
from devcluster.kind import KindBackend
from devcluster.layout import DEFAULT_CONTROL_PLANE_NAME, DEFAULT_NAME, Layout
from devcluster.report import DevclusterError

DESCRIPTION = """\
A real Kubernetes for development and tests.

With Docker and kind it is a kind cluster. Without, every program (etcd, API
server, kubelet, containerd, BuildKit) runs as a process of this host: that
needs root, Debian's apt-get and Go, and the first `up` compiles for about
15 minutes; later ones take seconds. One node cluster fits on a machine; control
planes alone (`up --control-plane-only`) may run beside it, as many as you like.
NetworkPolicies are accepted and not enforced; hostPort is not wired; there is no
LoadBalancer and no dynamic storage (see `volume`)."""

EPILOG = """\
a first round:
  python3 -m devcluster up
  export KUBECONFIG=$(python3 -m devcluster kubeconfig)
  python3 -m devcluster load --image lockstep.local/web:1 --file Dockerfile --context .
  $(python3 -m devcluster kubectl-path) get nodes
  python3 -m devcluster down            (objects, images and volumes stay; --purge ends them)

a control plane for tests, fresh each time:
  python3 -m devcluster up --control-plane-only --name t1 --fresh
  python3 -m devcluster status --name t1 --json      (pids, kubeconfig, audit log)
  python3 -m devcluster down --name t1 --purge
"""

_MODULES = (*PROGRAMS, *packages.UNPACKED)
_ADDONS = {
    "gateway": (
        f"the Gateway API by Traefik: Gateway {gateway.NAMESPACE}/{gateway.GATEWAY}",
        gateway.DEFAULT_PORT,
    ),
    "envoy-gateway": (
        f"the Gateway API by Envoy Gateway: Gateway {envoy.NAMESPACE}/{gateway.GATEWAY}",
        envoy.DEFAULT_PORT,
    ),
    "prometheus": ("a Prometheus that scrapes Lockstep's pods", prometheus.DEFAULT_PORT),
    "metrics-server": ("what `kubectl top` and autoscalers read", metrics.DEFAULT_PORT),
}


def _backend(arguments: argparse.Namespace) -> Backend:
    only = getattr(arguments, "control_plane_only", False)
    name = arguments.name or (DEFAULT_CONTROL_PLANE_NAME if only else DEFAULT_NAME)
    # A cluster of host processes is there: it is meant, Docker or not.
    is_host = only or Layout(name).settings.exists()
    kind = choose(arguments.face, control_plane_only=is_host)
    return KindBackend(name) if kind == "kind" else HostBackend(name)


def _up(arguments: argparse.Namespace) -> None:
    options = UpOptions(
        control_plane_only=arguments.control_plane_only,
        audit=arguments.audit,
        fresh=arguments.fresh,
        port=arguments.port,
    )
    _backend(arguments).up(options)


def _down(arguments: argparse.Namespace) -> None:
    _backend(arguments).down(purge=arguments.purge)


def _status(arguments: argparse.Namespace) -> None:
    status = _backend(arguments).status()
    if arguments.json:
        print(json.dumps(status, indent=2))
        return
    for name, value in status.items():
        if name != "processes":
            print(f"{name:12} {value}")
    for process in status.get("processes", []):
        pid = process["pid"] or "not running"
        print(f"  {process['name']:24} {pid!s:12} {process['memoryMiB']:5} MiB  {process['log']}")


def _disk(arguments: argparse.Namespace) -> None:
    disk.check(_backend(arguments).needs(arguments.target))


def _kubeconfig(arguments: argparse.Namespace) -> None:
    print(_backend(arguments).kubeconfig())


def _load(arguments: argparse.Namespace) -> None:
    build_args = {}
    for item in arguments.build_arg:
        name, equals, value = item.partition("=")
        if not equals:
            raise DevclusterError(f"--build-arg {item!r} is not NAME=VALUE")
        build_args[name] = value
    context = Path(arguments.context).resolve()
    file = Path(arguments.file).resolve() if arguments.file else context / "Dockerfile"
    _backend(arguments).load(Build(arguments.image, file, context, build_args))


def _images(arguments: argparse.Namespace) -> None:
    images = _backend(arguments).images()
    if arguments.json:
        print(json.dumps(images, indent=2))
        return
    for image in images:
        print(f"{image['size'] / 2**20:9.1f} MiB  {image['name']}")


def _volume(arguments: argparse.Namespace) -> None:
    if arguments.delete:
        _backend(arguments).delete_volume(arguments.volume)
    else:
        _backend(arguments).create_volume(arguments.volume, arguments.claim)


def _s3(arguments: argparse.Namespace) -> None:
    server = S3(Layout(arguments.name or DEFAULT_NAME))
    if arguments.action == "up":
        print(
            server.up(
                port=arguments.port,
                access_key=arguments.access_key,
                secret_key=arguments.secret_key,
                buckets=arguments.bucket,
            )
        )
    elif arguments.action == "down":
        server.down()
    else:
        print(server.endpoint() or "not running")


def _addon(arguments: argparse.Namespace) -> None:
    addon = _backend(arguments).addon(arguments.verb)
    if arguments.action == "up":
        print(addon.up(port=arguments.port))
    elif arguments.action == "down":
        addon.down()
    else:
        print(addon.endpoint() or "not running")


def _binaries(arguments: argparse.Namespace) -> None:
    if arguments.idle:
        run_when_idle()
    for module in arguments.module or ["kubernetes", "pause", "coredns", "buildkit"]:
        if module in packages.UNPACKED:
            print(packages.unpack(module))
            continue
        if module not in PROGRAMS:
            raise DevclusterError(f"no program {module!r}: {', '.join(_MODULES)}")
        for path in binaries.ensure(module).values():
            print(path)


def _kubectl_path(arguments: argparse.Namespace) -> None:
    print(binaries.kubectl())


def _helm_path(arguments: argparse.Namespace) -> None:
    print(helm.helm(arguments.major))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m devcluster",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(
        name: str, run: Callable[[argparse.Namespace], None], text: str, *, cluster: bool = True
    ) -> Any:
        added = verbs.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        if cluster:
            added.add_argument("--name", help=f"which cluster (default: {DEFAULT_NAME})")
            added.add_argument(
                "--face",
                choices=("kind", "host"),
                default=os.environ.get("DEVCLUSTER_FACE"),
                help="default: kind where Docker is, else host",
            )
        return added

    _cluster_verbs(verb)
    _content_verbs(verb)
    _tool_verbs(verb)
    return parser


def _cluster_verbs(verb: Callable[..., Any]) -> None:
    up = verb("up", _up, "bring the cluster up; safe to repeat, repairs after a crash")
    up.add_argument(
        "--control-plane-only",
        action="store_true",
        help="no node: etcd, API server, controller-manager; needs no root; always audited "
        f"(default name: {DEFAULT_CONTROL_PLANE_NAME})",
    )
    up.add_argument("--audit", action="store_true", help="log every write (see status --json)")
    up.add_argument("--fresh", action="store_true", help="start with no objects")
    port = os.environ.get("DEVCLUSTER_PORT")
    up.add_argument(
        "--port",
        type=int,
        default=int(port) if port else None,
        help="of the API server (default: 6443 with a node, else a free one)",
    )
    down = verb("down", _down, "stop it: nothing left running or mounted")
    down.add_argument("--purge", action="store_true", help="remove objects, images and volumes")
    status = verb("status", _status, "what runs")
    status.add_argument("--json", action="store_true")
    room = verb("disk", _disk, "say what a target of make still writes; fail if it cannot fit")
    room.add_argument("target", choices=("up", "images", "demo", "test"))
    verb("kubeconfig", _kubeconfig, "print the path of the administrator's kubeconfig")


def _content_verbs(verb: Callable[..., Any]) -> None:
    load = verb("load", _load, "build a Dockerfile into the node's image store")
    load.add_argument("--image", required=True, metavar="NAME:TAG", help="not :latest")
    load.add_argument("--file", help="the Dockerfile (default: the context's)")
    load.add_argument("--context", default=".", help="the folder to build from")
    load.add_argument("--build-arg", action="append", default=[], metavar="K=V")
    images = verb("images", _images, "list the images on the node")
    images.add_argument("--json", action="store_true")
    volume = verb("volume", _volume, "make a PersistentVolume, or free it of a deleted claim")
    volume.add_argument("volume", metavar="NAME")
    volume.add_argument("--claim", metavar="NAMESPACE/NAME", help="reserve it for that claim")
    volume.add_argument("--delete", action="store_true", help="delete it and its data")


def _tool_verbs(verb: Callable[..., Any]) -> None:
    s3 = verb("s3", _s3, "an S3 server that pods reach at the node's address")
    s3.add_argument("action", choices=("up", "down", "status"))
    s3.add_argument("--port", type=int, default=DEFAULT_PORT)
    s3.add_argument("--access-key", default="lockstep")
    s3.add_argument("--secret-key", default="lockstep-secret")
    s3.add_argument("--bucket", action="append", default=[], help="make it; may be repeated")
    for name, (text, port) in _ADDONS.items():
        addon = verb(name, _addon, text)
        addon.add_argument("action", choices=("up", "down", "status"))
        addon.add_argument("--port", type=int, default=port)
    built = verb("binaries", _binaries, "build or fetch programs, print their paths", cluster=False)
    built.add_argument("module", nargs="*", help=f"of {', '.join(_MODULES)}")
    built.add_argument("--idle", action="store_true", help="with what CPU nothing else wants")
    verb("kubectl-path", _kubectl_path, "print the path of kubectl", cluster=False)
    path = verb("helm-path", _helm_path, "print the path of Helm", cluster=False)
    path.add_argument("--major", type=int, choices=sorted(helm.PACKAGES), default=3)


def main() -> int:
    # A reader that has seen enough (`| head`) ends the command, quietly.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    arguments = _parser().parse_args()
    try:
        arguments.run(arguments)
    except DevclusterError as error:
        print(f"devcluster: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
