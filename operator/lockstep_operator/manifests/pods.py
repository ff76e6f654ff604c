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
ARTIFACTS_VOLUME = "artifacts"
HTTP_PORT = "http"
PROGRESS_PORT_NAME = "progress"


@dataclass(frozen=True)
class Program:
    """What runs in the pod's only container. `requests` are defaults that a template overrides."""

    command: tuple[str, ...]
    image: str
    config: Contract
    artifacts: ArtifactsSpec
    writes_artifacts: bool
    port: tuple[str, int]
    requests: Mapping[str, str]
    grace_seconds: int = 30
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
    if pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in pull_secrets]
    spec.update(template.to_overrides())
    spec.update(fields)
    return {"metadata": {"labels": dict(labels)}, "spec": spec}


def _container(program: Program, template: PodTemplate) -> Object:
    port_name, port = program.port
    container: Object = {
        "name": CONTAINER,
        "image": template.image or program.image,
        "imagePullPolicy": "IfNotPresent",
        "command": list(program.command),
        "env": _environment(program.config),
        "ports": [{"name": port_name, "containerPort": port, "protocol": "TCP"}],
        "resources": resources(template.resources, program.requests),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePath": TERMINATION_PATH,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},
            *_mounts(program.artifacts, program.writes_artifacts),
        ],
        **program.probes,
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
    if artifacts.claim_name is None:
        return []
    mount: Object = {"name": ARTIFACTS_VOLUME, "mountPath": urlsplit(artifacts.uri).path}
    if not writable:
        mount["readOnly"] = True
    return [mount]
