"""`python -m lockstep_operator`: the operator process."""

from __future__ import annotations

import argparse
import os
import re
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import kopf

from lockstep_operator.api.release import Images
from lockstep_operator.decide.snapshot.observed import Settings
from lockstep_operator.manifests.programs import PROGRAMS
from lockstep_operator.runtime import logging as logs
from lockstep_operator.runtime.config import Config

_IN_CLUSTER_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")

_EPILOG = """\
Every flag has an environment variable, which the Helm chart sets. Outside of a cluster:

  export KUBECONFIG=~/.kube/config
  python -m lockstep_operator --log-format text --namespaces default \\
    --trainer-image REPO/trainer:TAG --encoder-image REPO/encoder:TAG \\
    --indexer-image REPO/indexer:TAG

One process leads, by the Lease --lease-name in --pod-namespace; any others stand by and take over.
SIGTERM ends the running plans, gives the Lease back and exits with 0. A lost Lease, or a watch that
cannot go on, exits with 1 at once, with the reason as termination message; wrong flags with 2.
http://HOST:--health-port serves /healthz, /readyz and /metrics.
"""


def parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    """Flags, with the environment as their defaults."""
    described = argparse.ArgumentParser(
        prog="lockstep-operator",
        description="Releases embedding models and the indexes built from them as one unit.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

    def flag(name: str, variable: str, default: str, text: str) -> None:
        described.add_argument(
            f"--{name}",
            default=environment.get(variable, default),
            metavar=name.rsplit("-", 1)[-1].upper(),
            help=f"{text} [{variable}]",
        )

    for program in PROGRAMS:
        flag(program.flag, program.variable, "", f"image that {program.use}")
    secrets = "Secrets with which pods pull these images, separated by commas"
    flag("image-pull-secrets", "LOCKSTEP_IMAGE_PULL_SECRETS", "", secrets)
    watched = "namespaces to watch, separated by commas; empty for all"
    flag("namespaces", "LOCKSTEP_WATCH_NAMESPACES", "", watched)
    flag("pod-name", "POD_NAME", socket.gethostname(), "name of this process in Lease and Events")
    flag("pod-namespace", "POD_NAMESPACE", _namespace(), "namespace of the Lease")
    flag("lease-name", "LOCKSTEP_LEASE_NAME", "lockstep-operator", "name of the Lease")
    lease = "seconds after which a dead leader is replaced, at least 3"
    flag("lease-seconds", "LOCKSTEP_LEASE_SECONDS", "15", lease)
    flag("health-port", "LOCKSTEP_HEALTH_PORT", "8081", "port of probes and metrics; 0 for any")
    resync = "seconds in which every model is looked at once, whatever happens"
    flag("resync-seconds", "LOCKSTEP_RESYNC_SECONDS", "600", resync)
    flag("workers", "LOCKSTEP_WORKERS", "16", "models that are reconciled side by side")
    drift = "releases that drift policies may make in an hour, of all models together"
    flag("drift-releases-per-hour", "LOCKSTEP_DRIFT_RELEASES_PER_HOUR", "4", drift)
    flag("log-level", "LOCKSTEP_LOG_LEVEL", "info", "debug, info, warning or error")
    flag("log-format", "LOCKSTEP_LOG_FORMAT", "json", "json or text")
    return described


def config_from(arguments: Sequence[str], environment: Mapping[str, str]) -> Config:
    """Parses and checks. Exits with 2 and a line that names the flag when something is wrong."""
    described = parser(environment)
    given = described.parse_args(arguments)
    images = _images(described, given)
    namespaces = _words(given.namespaces)
    for namespace in (*namespaces, given.pod_namespace):
        if not _DNS_LABEL.fullmatch(namespace):
            described.error(f"{namespace!r} is not a namespace: use the names themselves")
    if given.log_level not in ("debug", "info", "warning", "error"):
        described.error(f"--log-level {given.log_level!r}: use debug, info, warning or error")
    if given.log_format not in ("json", "text"):
        described.error(f"--log-format {given.log_format!r}: use json or text")
    most = given.drift_releases_per_hour
    settings = Settings(
        images=images,
        image_pull_secrets=_words(given.image_pull_secrets),
        drift_releases_per_hour=int(_number(described, "drift-releases-per-hour", most, 0, 1000)),
    )
    return Config(
        settings=settings,
        namespaces=namespaces,
        pod_name=given.pod_name,
        pod_namespace=given.pod_namespace,
        lease_name=given.lease_name,
        lease_seconds=_number(described, "lease-seconds", given.lease_seconds, 3, 3600),
        health_port=int(_number(described, "health-port", given.health_port, 0, 65535)),
        resync_seconds=_number(described, "resync-seconds", given.resync_seconds, 1, 86400),
        workers=int(_number(described, "workers", given.workers, 1, 256)),
        log_level=given.log_level,
        log_format=given.log_format,
    )


def main() -> int:
    """Returns the exit code."""
    config = config_from(sys.argv[1:], os.environ)
    logs.configure(level=config.log_level, style=config.log_format)
    # Only now: the flags' help and their errors should not wait for the imports of a client.
    from lockstep_operator import handlers  # noqa: F401
    from lockstep_operator.runtime import process

    return process.run(config, kopf.get_default_registry())


def _images(described: argparse.ArgumentParser, given: argparse.Namespace) -> Images:
    """An empty flag leaves out a program that a release may lack."""
    images: dict[str, str] = {}
    for program in PROGRAMS:
        image = getattr(given, program.flag.replace("-", "_"))
        if image:
            images[program.name] = image
        elif program.required:
            described.error(f"--{program.flag} ({program.variable}) is empty: name an image")
    return Images(**images)


def _number(
    described: argparse.ArgumentParser, flag: str, text: str, low: float, high: float
) -> float:
    try:
        value = float(text)
    except ValueError:
        described.error(f"--{flag} {text!r} is not a number: use {low:g} to {high:g}")
    if not low <= value <= high:
        described.error(f"--{flag} {text} is out of range: use {low:g} to {high:g}")
    return value


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _namespace() -> str:
    if _IN_CLUSTER_NAMESPACE.exists():
        return _IN_CLUSTER_NAMESPACE.read_text().strip()
    return "default"


if __name__ == "__main__":
    sys.exit(main())
