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
from lockstep_operator.manifests.quantities import canonical_all

CONTAINER = "main"
CHECK = "validate"
"""The init container of a program that checks its input before it begins."""

ARTIFACTS_VOLUME = "artifacts"
HTTP_PORT = "http"
PROGRESS_PORT_NAME = "progress"


@dataclass(frozen=True)
class Program:
    """What runs in the pod's only container. `requests` are defaults that a template overrides.

    `check` is a command of the same image and config that must end well first, in an init container
    that holds no extended resource and writes nothing.
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


def pod_template(
    program: Program,
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
        "volumes": [{"name": "tmp", "emptyDir": {}}, *_volumes(program.artifacts)],
    }
    if program.check:
        spec["initContainers"] = [_check(program, template)]
    if pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in pull_secrets]
    spec.update(template.to_overrides())
    spec.update(fields)
    return {"metadata": {"labels": dict(labels)}, "spec": spec}


def _container(program: Program, template: PodTemplate) -> Object:
    port_name, port = program.port
    return {
        **_process(program, template, CONTAINER, program.command),
        "ports": [{"name": port_name, "containerPort": port, "protocol": "TCP"}],
        "resources": resources(template.resources, program.requests),
        "volumeMounts": _mounts(program.artifacts, program.writes_artifacts),
        **program.probes,
    }


def _check(program: Program, template: PodTemplate) -> Object:
    """A pod asks for the most that any of its containers does, so the check asks for the same CPU
    and memory; a device is given to the program alone."""
    found = resources(template.resources, program.requests)
    plain = {
        kind: {name: value for name, value in amounts.items() if "/" not in name}
        for kind, amounts in found.items()
    }
    return {
        **_process(program, template, CHECK, program.check),
        "resources": {kind: amounts for kind, amounts in plain.items() if amounts},
        "volumeMounts": _mounts(program.artifacts, False),
    }


def _process(
    program: Program, template: PodTemplate, name: str, command: tuple[str, ...]
) -> Object:
    """What every container of ours has: image, command, config, identity, termination message."""
    container: Object = {
        "name": name,
        "image": template.image or program.image,
        "imagePullPolicy": "IfNotPresent",
        "command": list(command),
        "env": [
            *_environment(program.config),
            *({"name": key, "value": value} for key, value in program.environment.items()),
        ],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePath": TERMINATION_PATH,
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    if program.artifacts.secret_ref is not None:
        secret = {"secretRef": {"name": program.artifacts.secret_ref.name}}
        container["envFrom"] = [secret]
    return container


def _environment(config: Contract) -> list[Object]:
    return [
        {
            "name": CONFIG_VARIABLE,
            "value": json.dumps(config.to_wire(), sort_keys=True, separators=(",", ":")),
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
    found: Object = {"requests": canonical_all({**requests, **wanted.requests})}
    if wanted.limits:
        found["limits"] = canonical_all(wanted.limits)
    return {key: value for key, value in found.items() if value}


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
