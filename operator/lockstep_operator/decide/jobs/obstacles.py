"""What keeps a pod from starting, by the cluster's own words: what mends it, and whether it passes.

The words are those of Kubernetes' controllers, scheduler and kubelet. What no row knows is quoted
all the same; it only gets the advice that fits anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

WORDS_LIMIT = 400


class Mend(StrEnum):
    """What a person does about it. `{template}` is the field of the pod's template."""

    IMAGE = "set {template}.image to one that the nodes can pull"
    IMAGE_RIGHTS = (
        "set {template}.image to one that the nodes may pull, or give the operator's chart a Secret"
        " that pulls it (`programs.imagePullSecrets`)"
    )
    ROOM = "lower {template}.resources, or give the cluster a node that fits"
    PLACE = (
        "change {template}.nodeSelector or {template}.tolerations, or give the cluster a node that"
        " fits"
    )
    CLAIM_MISSING = "make it, or name another in `spec.artifacts.claimName`"
    CLAIM = (
        "bind the claim of `spec.artifacts.claimName` to a volume that the nodes reach, or name"
        " another there"
    )
    VOLUME = "mend the volume, or name another claim in `spec.artifacts.claimName`"
    OBJECT_MISSING = "make it, or name another in `spec.artifacts.secretRef` or in {template}"
    NODE = (
        "mend the network or the container runtime of the node, or keep the pod off it with"
        " {template}.nodeSelector"
    )
    LIMIT_RANGE = "set {template}.resources to what the LimitRange allows, or change that"
    QUOTA = "raise the ResourceQuota or free some of it, or lower {template}.resources"
    QUOTA_NAMES = "set in {template}.resources what the ResourceQuota counts"
    POLICY = "change {template} so that the policy admits it, or change the policy"
    WEBHOOK = "mend the webhook, or what it refuses in {template}"
    POD_SECURITY = (
        "Lockstep's pods keep to the level `restricted`: look at what changes them at admission,"
        " and at the `pod-security.kubernetes.io` labels of the namespace"
    )
    RUNTIME_CLASS = "make the RuntimeClass, or mend what sets it: no field of {template} does"
    PRIORITY_CLASS = "make the PriorityClass, or name another in {template}.priorityClassName"
    REFUSED = "look at {template}, and at what admits pods in the namespace"
    NO_POD = "look at the Job controller, and at what admits pods in the namespace"
    ANYTHING = "look at {template}, and at the Secret and the claim that `spec.artifacts` names"

    def advice(self, template: str) -> str:
        """The sentence for the pod whose template is `template`, with its backticks."""
        return self.value.format(template=template)


@dataclass(frozen=True)
class Obstacle:
    """`final`: the same pod is refused each time, so that waiting is of no use."""

    words: str
    mend: Mend
    final: bool = False


@dataclass(frozen=True)
class _Sign:
    pattern: re.Pattern[str]
    mend: Mend
    final: bool = False


def _signs(*rows: tuple[str, Mend, bool]) -> tuple[_Sign, ...]:
    return tuple(_Sign(re.compile(pattern), mend, final) for pattern, mend, final in rows)


# A webhook may refuse by a state that passes, and a quota is freed: neither is final.
_REFUSALS = _signs(
    (r"exceeded quota: |status unknown for quota|insufficient quota", Mend.QUOTA, False),
    (r"failed quota: .*must specify", Mend.QUOTA_NAMES, True),
    (r"(?:minimum|maximum) \S+ usage per |limit to request ratio per ", Mend.LIMIT_RANGE, True),
    (r"violates PodSecurity ", Mend.POD_SECURITY, True),
    (r"ValidatingAdmissionPolicy '.*denied request", Mend.POLICY, True),
    (r"RuntimeClass \S+ not found", Mend.RUNTIME_CLASS, True),
    (r"no PriorityClass with name ", Mend.PRIORITY_CLASS, True),
    (r"denied the request|failed calling webhook", Mend.WEBHOOK, False),
    (r'\S+ "[^"]*" is invalid: ', Mend.REFUSED, True),
)
_UNSCHEDULABLE = _signs(
    (r'persistentvolumeclaim "[^"]+" (?:is )?not found', Mend.CLAIM_MISSING, False),
    (
        r"[Pp]ersistent[Vv]olume[Cc]laim|persistent volumes? |volume node affinity|binding volumes|"
        r"free storage|max volume count",
        Mend.CLAIM,
        False,
    ),
    (r"Insufficient |Too many pods", Mend.ROOM, False),
    (r"node affinity|node selector|affinity/selector|taint|unschedulable", Mend.PLACE, False),
)
_PULLS = _signs(
    (r"unauthorized|denied|forbidden|401|403|authentication required", Mend.IMAGE_RIGHTS, False),
)
_MOUNTS = _signs(
    (r'\b(?:secret|configmap) "[^"]+" not found', Mend.OBJECT_MISSING, False),
)
_SANDBOXES = _signs(
    (r"no runtime for |RuntimeHandler", Mend.RUNTIME_CLASS, False),
)

# Before the words of the one who knows stand those of the ones who pass them on.
_PREFIXES = re.compile(
    r"^(?:\(combined from similar events\): |Error creating: |Error: |ErrImagePull: "
    r"|pods? \"[^\"]*\" is forbidden: |Pod \"[^\"]*\" is invalid: "
    r"|Back-off pulling image \"[^\"]*\"(?:: |$)|Failed to pull image \"[^\"]*\": "
    r"|[Ff]ailed to create pod sandbox: |rpc error: code = \w+ desc = )"
)
# Ids of sandboxes, of mount units and of requests: new with each try.
_IDS = re.compile(r"\b(?:run-r)?[0-9a-f]{12,}\b")
_NODES = re.compile(r"^\d+/\d+ nodes are available: (.*?)\.?(?: preemption: .*)?$", re.DOTALL)
_COUNT = re.compile(r"^\d+ ")


def quoted(text: str) -> str:
    """The words without what passes them on, and without what is new with each try."""
    words = " ".join(text.split())
    while (shorter := _PREFIXES.sub("", words)) != words:
        words = shorter
    words = _IDS.sub("…", words).rstrip(". ")
    return words if len(words) <= WORDS_LIMIT else words[: WORDS_LIMIT - 1] + "…"


def refusal(text: str) -> Obstacle:
    """Why admission refuses a pod, or a Job."""
    return _read(text, _REFUSALS, Mend.REFUSED)


def unschedulable(text: str) -> Obstacle:
    """Why no node takes a pod; how many nodes there are of each kind changes and is left out."""
    found = _read(text, _UNSCHEDULABLE, Mend.ROOM)
    counted = _NODES.match(" ".join(text.split()))
    if counted is None:
        return found
    why = sorted({_COUNT.sub("", part) for part in counted[1].split(", ")})
    return Obstacle(quoted(", ".join(why)), found.mend)


def unpulled(text: str, *, final: bool) -> Obstacle:
    """Why an image is not pulled. `final`: it is not even tried."""
    found = _read(text, _PULLS, Mend.IMAGE)
    return Obstacle(found.words, found.mend, final)


def unmounted(text: str) -> Obstacle:
    """Why a volume is not mounted or attached."""
    return _read(text, _MOUNTS, Mend.VOLUME)


def unnetworked(text: str) -> Obstacle:
    """Why a node makes no sandbox for a pod."""
    return _read(text, _SANDBOXES, Mend.NODE)


def unmade(text: str) -> Obstacle:
    """Why a container is not made from what its pod asks."""
    return _read(text, _MOUNTS, Mend.ANYTHING)


def _read(text: str, signs: tuple[_Sign, ...], otherwise: Mend) -> Obstacle:
    sign = next((sign for sign in signs if sign.pattern.search(text)), None)
    if sign is None:
        return Obstacle(quoted(text), otherwise)
    return Obstacle(quoted(text), sign.mend, sign.final)
