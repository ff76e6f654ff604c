"""The pod of any of our programs: Pod Security `restricted`, one config, one artifact store."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from lockstep_core.protocol.base import Contract
from lockstep_core.protocol.environment import CONFIG_VARIABLE, PROGRAM_UID, TERMINATION_PATH
from lockstep_core.protocol.storage import ArtifactsSpec
from lockstep_operator.api.objects import Object
from lockstep_operator.api.pods import PodTemplate, Resources
from lockstep_operator.manifests.programs import CHECK, CONTAINER
from lockstep_operator.manifests.quantities import canonical_all

ARTIFACTS_VOLUME = "artifacts"
HTTP_PORT = "http"
PROGRESS_PORT_NAME = "progress"


@dataclass(frozen=True)
class SharedFolder:
    """An empty folder of the pod, at `path` in the program and in each sidecar that names it.

    `size` bounds it: the kubelet evicts a pod that exceeds it.
    """

    name: str
    path: str
    size: str


@dataclass(frozen=True)
class Sidecar:
    """A container beside the program, ready before it starts and ended after it.

    `name` is that of its container (`ProgramImage.container`). It has the identity and the
    restrictions of every container of ours, and neither the config nor the store of the program.
    `probes` as of a container; a `startupProbe` holds the program back. `folders` are what it
    shares with the program.
    """

    name: str
    image: str
    command: tuple[str, ...]
    requests: Mapping[str, str]
    port: tuple[str, int] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    probes: Mapping[str, Any] = field(default_factory=dict)
    folders: tuple[SharedFolder, ...] = ()


@dataclass(frozen=True)
class ProgramSpec:
    """What runs in the pod. `requests` are defaults that a template overrides.

    `check` is a command of the same image and config that must end well first, in an init container
    that holds no extended resource and writes nothing. `sidecars` run beside the program.
    """

    command: tuple[str, ...]
    image: str
    config: Contract
    artifacts: ArtifactsSpec
    writes_artifacts: bool
    port: tuple[str, int]
    requests: Mapping[str, str]
    grace_seconds: int = 30
    check: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    probes: Mapping[str, Any] = field(default_factory=dict)
    sidecars: tuple[Sidecar, ...] = ()

    @property
    def folders(self) -> tuple[SharedFolder, ...]:
        """What the program shares with its sidecars, each once."""
        return tuple(dict.fromkeys(each for sidecar in self.sidecars for each in sidecar.folders))


def pod_template(
    program: ProgramSpec,
    template: PodTemplate,
    labels: Mapping[str, str],
    *,
    pull_secrets: Sequence[str] = (),
    **fields: Any,
) -> Object:
    """A pod template. `fields` are further fields of the pod spec (camelCase)."""
    spec: Object = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": program.grace_seconds,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": PROGRAM_UID,
            "runAsGroup": PROGRAM_UID,
            "fsGroup": PROGRAM_UID,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(program, template)],
        "volumes": [
            {"name": "tmp", "emptyDir": {}},
            *_volumes(program.artifacts),
            *(_folder_volume(folder) for folder in program.folders),
        ],
    }
    # The check ends before anything else of the pod begins.
    before = [_check(program, template)] if program.check else []
    before += [_sidecar(sidecar) for sidecar in program.sidecars]
    if before:
        spec["initContainers"] = before
    if pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in pull_secrets]
    spec.update(template.to_overrides())
    spec.update(fields)
    return {"metadata": {"labels": dict(labels)}, "spec": spec}


def _container(program: ProgramSpec, template: PodTemplate) -> Object:
    return {
        **_process(program, template, CONTAINER, program.command),
        "ports": [_port(*program.port)],
        "resources": resources(template.resources, program.requests),
        "volumeMounts": [
            *_mounts(program.artifacts, program.writes_artifacts),
            *_shared(program.folders),
        ],
        **program.probes,
    }


def _check(program: ProgramSpec, template: PodTemplate) -> Object:
    """A pod asks for the most that any of its containers does, so the check asks for the same CPU
    and memory; a device is given to the program alone."""
    wanted = resources(template.resources, program.requests)
    plain = {
        kind: {name: value for name, value in amounts.items() if "/" not in name}
        for kind, amounts in wanted.items()
    }
    return {
        **_process(program, template, CHECK, program.check),
        "resources": {kind: amounts for kind, amounts in plain.items() if amounts},
        "volumeMounts": _mounts(program.artifacts, False),
    }


def _sidecar(sidecar: Sidecar) -> Object:
    """`restartPolicy: Always` makes an init container one that runs as long as the pod does."""
    container: Object = {
        "name": sidecar.name,
        "image": sidecar.image,
        "imagePullPolicy": "IfNotPresent",
        "restartPolicy": "Always",
        "command": list(sidecar.command),
        "env": _plain(sidecar.environment),
        "securityContext": _restricted(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": resources(Resources(), sidecar.requests),
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, *_shared(sidecar.folders)],
        **sidecar.probes,
    }
    if sidecar.port is not None:
        container["ports"] = [_port(*sidecar.port)]
    return container


def _process(
    program: ProgramSpec, template: PodTemplate, name: str, command: tuple[str, ...]
) -> Object:
    """What every container of ours has: image, command, config, identity, termination message."""
    container: Object = {
        "name": name,
        "image": template.image or program.image,
        "imagePullPolicy": "IfNotPresent",
        "command": list(command),
        "env": [
            *_environment(program.config),
            *_plain(program.environment),
        ],
        "securityContext": _restricted(),
        "terminationMessagePath": TERMINATION_PATH,
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    if program.artifacts.secret_ref is not None:
        secret = {"secretRef": {"name": program.artifacts.secret_ref.name}}
        container["envFrom"] = [secret]
    return container


def _restricted() -> Object:
    """What Pod Security `restricted` asks of each container, and a root file system for reading."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def _folder_volume(folder: SharedFolder) -> Object:
    return {"name": folder.name, "emptyDir": {"sizeLimit": folder.size}}


def _shared(folders: Sequence[SharedFolder]) -> list[Object]:
    return [{"name": each.name, "mountPath": each.path} for each in folders]


def _port(name: str, number: int) -> Object:
    return {"name": name, "containerPort": number, "protocol": "TCP"}


def _plain(environment: Mapping[str, str]) -> list[Object]:
    return [{"name": name, "value": value} for name, value in environment.items()]


def as_variable(config: Contract) -> str:
    """What a program is told, as the value of an environment variable: equal for equal configs."""
    return json.dumps(config.to_wire(), sort_keys=True, separators=(",", ":"))


def _environment(config: Contract) -> list[Object]:
    return [
        {
            "name": CONFIG_VARIABLE,
            "value": as_variable(config),
        },
        # The root file system is read-only: libraries that keep a cache keep it here.
        {"name": "HOME", "value": "/tmp"},
        # The CPU limit, or the node's CPUs where none is set: a pod with a limit of one CPU on a
        # large node would otherwise start a thread for each core of the node and be throttled.
        {
            "name": "OMP_NUM_THREADS",
            "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1"}},
        },
    ]


def resources(wanted: Resources, defaults: Mapping[str, str]) -> Object:
    """Requests and limits. A default request steps back where the user set a limit.

    Kubernetes takes an absent request from the limit, while a default above it would be refused.
    """
    requests = {name: value for name, value in defaults.items() if name not in wanted.limits}
    fields: Object = {"requests": canonical_all({**requests, **wanted.requests})}
    if wanted.limits:
        fields["limits"] = canonical_all(wanted.limits)
    return {key: value for key, value in fields.items() if value}


def _volumes(artifacts: ArtifactsSpec) -> list[Object]:
    if artifacts.claim_name is None:
        return []
    claim = {"claimName": artifacts.claim_name}
    return [{"name": ARTIFACTS_VOLUME, "persistentVolumeClaim": claim}]


def _mounts(artifacts: ArtifactsSpec, writable: bool) -> list[Object]:
    tmp: Object = {"name": "tmp", "mountPath": "/tmp"}
    if artifacts.claim_name is None:
        return [tmp]
    mount: Object = {"name": ARTIFACTS_VOLUME, "mountPath": urlsplit(artifacts.uri).path}
    if not writable:
        mount["readOnly"] = True
    return [tmp, mount]
