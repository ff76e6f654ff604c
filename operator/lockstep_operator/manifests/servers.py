"""What every server of a release is made of: a Deployment, a Service, a pod that is probed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lockstep_core.protocol.environment import SERVING_PORT
from lockstep_operator.api.kinds import DEPLOYMENT, SERVICE
from lockstep_operator.api.objects import Object
from lockstep_operator.api.pods import PodTemplate
from lockstep_operator.manifests.pods import HTTP_PORT, ProgramSpec, pod_template


def deployment_of(
    meta: Object,
    selector: Mapping[str, str],
    pod: Object,
    *,
    replicas: int | None,
    deadline: int,
    settling: int = 0,
) -> Object:
    """A pod of before a change goes only when one of after it is ready.

    So a template that cannot start costs no answer, also with one replica.
    """
    return {
        **DEPLOYMENT.type_meta,
        "metadata": meta,
        "spec": {
            **({} if replicas is None else {"replicas": replicas}),
            # The server does not store a zero.
            **({"minReadySeconds": settling} if settling else {}),
            "progressDeadlineSeconds": deadline,
            "revisionHistoryLimit": 1,
            "selector": {"matchLabels": dict(selector)},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
            },
            "template": pod,
        },
    }


def service_of(meta: Object, selector: Mapping[str, str]) -> Object:
    return {
        **SERVICE.type_meta,
        "metadata": meta,
        "spec": {
            "type": "ClusterIP",
            "selector": dict(selector),
            "ports": [
                {
                    "name": HTTP_PORT,
                    "port": SERVING_PORT,
                    "targetPort": HTTP_PORT,
                    "protocol": "TCP",
                    "appProtocol": "http",
                }
            ],
        },
    }


def url_of(service: str, namespace: str) -> str:
    return f"http://{service}.{namespace}.svc:{SERVING_PORT}"


def probes() -> Object:
    """A drain needs no preStop hook: /readyz turns 503 on SIGTERM, and the program waits."""

    def get(path: str, period: int, failures: int) -> Object:
        return {
            "httpGet": {"path": path, "port": HTTP_PORT},
            "periodSeconds": period,
            "timeoutSeconds": 5,
            "failureThreshold": failures,
        }

    return {
        # Ten minutes to fetch, verify and prewarm a large artifact.
        "startupProbe": get("/healthz", 2, 300),
        "readinessProbe": get("/readyz", 2, 2),
        "livenessProbe": get("/healthz", 10, 6),
    }


def pod_of(
    program: ProgramSpec,
    template: PodTemplate,
    labels: Mapping[str, str],
    selector: Mapping[str, str],
    pull_secrets: Sequence[str],
) -> Object:
    """The pods of one template, spread over the nodes."""
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": dict(selector)},
        "matchLabelKeys": ["pod-template-hash"],
    }
    return pod_template(
        program, template, labels, pull_secrets=pull_secrets, topologySpreadConstraints=[spread]
    )
