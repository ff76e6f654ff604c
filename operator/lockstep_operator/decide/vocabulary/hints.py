"""The commands that a message offers. They work as printed: each token is one not yet handled."""

from __future__ import annotations

import json

from lockstep_core.protocol import labels
from lockstep_core.protocol.labels import APPROVE, REBASELINE
from lockstep_core.protocol.verbs import Verb as Verb
from lockstep_core.protocol.verbs import annotation as annotation
from lockstep_core.protocol.verbs import fresh_token
from lockstep_core.protocol.verbs import number_of as number_of
from lockstep_operator.api.drift_policy import DriftPolicy
from lockstep_operator.api.objects import Model
from lockstep_operator.manifests import short_name
from lockstep_operator.manifests.metadata import owned_by_model


def ask(model: Model, verb: Verb, release: str) -> str:
    """The kubectl command that asks for a verb."""
    used = [entry.value for entry in model.status.last_handled or () if entry.verb == verb]
    used.append(model.annotations.get(annotation(verb), ""))
    token = fresh_token(short_name(release), used)
    return _annotate(model, f"--overwrite {annotation(verb)}={token}")


def rebaseline(policy: DriftPolicy, release: str) -> str:
    """What asks a drift policy to learn anew what a release meets."""
    used = (policy.annotations.get(REBASELINE, ""), policy.status.rebaselined or "")
    return f"--overwrite {REBASELINE}={fresh_token(short_name(release), used)}"


def approve(policy: DriftPolicy, request: str) -> str:
    """The kubectl command that lets a request of a drift policy happen."""
    target = f"driftpolicy/{policy.name} -n {policy.namespace}"
    return f"kubectl annotate {target} --overwrite {APPROVE}={request}"


def let_go(model: Model) -> str:
    """The kubectl command that ends a pause."""
    return _annotate(model, f"{annotation(Verb.PAUSE)}-")


def unpause(model: Model) -> str:
    """The kubectl command that ends `spec.rollout.paused`."""
    return _patch(model, '{"spec":{"rollout":{"paused":false}}}')


def raise_hold(model: Model, step: int | None) -> str:
    """The kubectl command that lets a candidate take this many steps; None: all of them."""
    allowed = "null" if step is None else str(step)
    return _patch(model, f'{{"spec":{{"rollout":{{"holdAtStep":{allowed}}}}}}}')


def own_again(model: Model, release: str) -> str:
    """The kubectl command that makes the model the owner of an EmbeddingRelease."""
    owners = json.dumps({"metadata": {"ownerReferences": owned_by_model(model)}})
    target = f"er/{release} -n {model.namespace}"
    return f"kubectl patch {target} --type=merge -p '{owners}'"


def pod_log(model: Model, pod: str, container: str, *, previous: bool = False) -> str:
    """The kubectl command that shows a container's log, or that of the time before."""
    which = " --previous" if previous else ""
    return f"kubectl logs {pod} -n {model.namespace} -c {container}{which}"


def describe_pod(model: Model, pod: str) -> str:
    """The kubectl command that shows why a pod does not start."""
    return f"kubectl describe pod/{pod} -n {model.namespace}"


def pods_of(model: Model, release: str) -> str:
    """The kubectl command that lists the pods of a release."""
    return f"kubectl get pods -l {labels.RELEASE}={release} -n {model.namespace}"


def delete_release(model: Model, release: str) -> str:
    """The kubectl commands that delete an EmbeddingRelease and what it runs, also where the chart
    guards it."""
    target = f"er/{release} -n {model.namespace}"
    allowed = f"{labels.ALLOW_DELETE}=true"
    return f"kubectl annotate {target} {allowed} --overwrite && kubectl delete {target}"


def _patch(model: Model, patch: str) -> str:
    return f"kubectl patch em/{model.name} -n {model.namespace} --type=merge -p '{patch}'"


def _annotate(model: Model, change: str) -> str:
    return f"kubectl annotate em/{model.name} -n {model.namespace} {change}"
