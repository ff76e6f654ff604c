"""The words of Kubernetes 1.34, as its own programs write them: what mends it, does it pass?"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from lockstep_operator.decide.jobs import obstacles
from lockstep_operator.decide.jobs.obstacles import Mend, Obstacle

pytestmark = pytest.mark.unit

POD = 'Error creating: pods "glyphs-r1-train-1-x7kqp" is forbidden: '
REFUSALS = [
    (
        POD + "exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1",
        Mend.QUOTA,
        False,
        "exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1",
    ),
    (
        POD + "failed quota: small: must specify limits.cpu for: main; limits.memory for: main",
        Mend.QUOTA_NAMES,
        True,
        "failed quota: small: must specify limits.cpu for: main; limits.memory for: main",
    ),
    (POD + "status unknown for quota: small, resources: pods", Mend.QUOTA, False, None),
    (
        POD + "maximum memory usage per Container is 64Mi, but limit is 1Gi",
        Mend.LIMIT_RANGE,
        True,
        "maximum memory usage per Container is 64Mi, but limit is 1Gi",
    ),
    (
        POD + "[minimum cpu usage per Pod is 2, but request is 250m, maximum memory usage per"
        " Pod is 1Mi.  No limit is specified]",
        Mend.LIMIT_RANGE,
        True,
        None,
    ),
    (
        POD + "cpu max limit to request ratio per Container is 1, but provided ratio is 4.000000",
        Mend.LIMIT_RANGE,
        True,
        None,
    ),
    (
        POD + 'violates PodSecurity "restricted:latest": runAsNonRoot != true (pod or container'
        ' "proxy" must set securityContext.runAsNonRoot=true)',
        Mend.POD_SECURITY,
        True,
        None,
    ),
    (
        POD + "ValidatingAdmissionPolicy 'cost.example' with binding 'cost' denied request:"
        " name a cost centre",
        Mend.POLICY,
        True,
        "ValidatingAdmissionPolicy 'cost.example' with binding 'cost' denied request: name a cost"
        " centre",
    ),
    (
        'Error creating: admission webhook "deny.example" denied the request: not now',
        Mend.WEBHOOK,
        False,
        'admission webhook "deny.example" denied the request: not now',
    ),
    (
        'Error creating: Internal error occurred: failed calling webhook "deny.example": failed'
        ' to call webhook: Post "https://deny.shop.svc:443/": connection refused',
        Mend.WEBHOOK,
        False,
        None,
    ),
    (
        POD + 'pod rejected: RuntimeClass "gvisor" not found',
        Mend.RUNTIME_CLASS,
        True,
        'pod rejected: RuntimeClass "gvisor" not found',
    ),
    (
        POD + "no PriorityClass with name high was found",
        Mend.PRIORITY_CLASS,
        True,
        "no PriorityClass with name high was found",
    ),
    (
        POD + 'error looking up service account shop/default: serviceaccount "default" not found',
        Mend.REFUSED,
        False,
        None,
    ),
    (
        'Error creating: Pod "glyphs-r1-train-1-x7kqp" is invalid: spec.containers[0].resources'
        '.requests: Invalid value: "2": must be less than or equal to cpu limit of 1',
        Mend.REFUSED,
        True,
        'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to'
        " cpu limit of 1",
    ),
    (
        POD + "unable to create new content in namespace shop because it is being terminated",
        Mend.REFUSED,
        False,
        None,
    ),
    (
        'jobs.batch is forbidden: User "system:serviceaccount:a:b" cannot create resource "jobs"',
        Mend.REFUSED,
        False,
        None,
    ),
]


@pytest.mark.parametrize(("text", "mend", "final", "words"), REFUSALS)
def test_a_refusal(text: str, mend: Mend, final: bool, words: str | None) -> None:
    found = obstacles.refusal(text)
    assert (found.mend, found.final) == (mend, final)
    assert "x7kqp" not in found.words, "the name of the pod is another with each try"
    assert words is None or found.words == words


@pytest.mark.parametrize(
    ("text", "mend", "words"),
    [
        (
            "0/5 nodes are available: 2 Insufficient cpu, 3 Insufficient memory. preemption: 0/5"
            " nodes are available: 5 No preemption victims found for incoming pod.",
            Mend.ROOM,
            "Insufficient cpu, Insufficient memory",
        ),
        (
            "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. preemption:"
            " 0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
            Mend.CLAIM,
            "pod has unbound immediate PersistentVolumeClaims",
        ),
        (
            '0/1 nodes are available: persistentvolumeclaim "none" not found. preemption: 0/1 nodes'
            " are available: 1 Preemption is not helpful for scheduling.",
            Mend.CLAIM_MISSING,
            'persistentvolumeclaim "none" not found',
        ),
        (
            "0/3 nodes are available: 3 node(s) had volume node affinity conflict.",
            Mend.CLAIM,
            "node(s) had volume node affinity conflict",
        ),
        (
            'running PreBind plugin "VolumeBinding": binding volumes: context deadline exceeded',
            Mend.CLAIM,
            'running PreBind plugin "VolumeBinding": binding volumes: context deadline exceeded',
        ),
        (
            "0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1"
            " node(s) had untolerated taint {gpu: true}.",
            Mend.PLACE,
            "node(s) didn't match Pod's node affinity/selector, node(s) had untolerated taint"
            " {gpu: true}",
        ),
        ("0/1 nodes", Mend.ROOM, "0/1 nodes"),
        ("no nodes available to schedule pods", Mend.ROOM, "no nodes available to schedule pods"),
    ],
)
def test_no_node_takes_a_pod(text: str, mend: Mend, words: str) -> None:
    assert obstacles.unschedulable(text) == Obstacle(words, mend)


def test_how_many_nodes_there_are_is_no_news() -> None:
    one = "0/5 nodes are available: 2 Insufficient cpu, 3 node(s) were unschedulable."
    other = "0/7 nodes are available: 4 node(s) were unschedulable, 3 Insufficient cpu."
    assert obstacles.unschedulable(one) == obstacles.unschedulable(other)


NOT_FOUND = (
    'failed to pull and unpack image "reg.example/t:9": failed to resolve image: reg.example/t:9:'
    " not found"
)


@pytest.mark.parametrize(
    "text",
    [
        f'Failed to pull image "reg.example/t:9": rpc error: code = NotFound desc = {NOT_FOUND}',
        f'Back-off pulling image "reg.example/t:9": ErrImagePull: rpc error: code = NotFound desc ='
        f" {NOT_FOUND}",
        f"rpc error: code = NotFound desc = {NOT_FOUND}",
    ],
)
def test_a_pull_that_fails_says_the_same_in_each_of_its_states(text: str) -> None:
    assert obstacles.unpulled(text, final=False) == Obstacle(NOT_FOUND, Mend.IMAGE)


def test_a_pull_that_is_not_allowed_has_another_advice() -> None:
    text = "pull access denied, repository does not exist or may require authorization"
    assert obstacles.unpulled(text, final=False).mend is Mend.IMAGE_RIGHTS
    assert obstacles.unpulled('Back-off pulling image "t:9"', final=False).words == ""


@pytest.mark.parametrize(
    ("read", "text", "mend", "words"),
    [
        (
            obstacles.unmounted,
            'MountVolume.SetUp failed for volume "keys" : secret "store-keys" not found',
            Mend.OBJECT_MISSING,
            'MountVolume.SetUp failed for volume "keys" : secret "store-keys" not found',
        ),
        (
            obstacles.unmounted,
            'Multi-Attach error for volume "pvc-1" Volume is already used by pod(s) other',
            Mend.VOLUME,
            'Multi-Attach error for volume "pvc-1" Volume is already used by pod(s) other',
        ),
        (
            obstacles.unmounted,
            "MountVolume.SetUp failed: mount failed: Output: Running scope as unit:"
            " run-r0b9d6f3c2a1e4d5f8a7b6c5d4e3f2a1b.scope",
            Mend.VOLUME,
            "MountVolume.SetUp failed: mount failed: Output: Running scope as unit: ….scope",
        ),
        (
            obstacles.unnetworked,
            "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network"
            ' for sandbox "0b9d6f3c2a1e4d5f8a7b6c5d4e3f2a1b": no IP addresses available',
            Mend.NODE,
            'failed to setup network for sandbox "…": no IP addresses available',
        ),
        (
            obstacles.unnetworked,
            "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to get sandbox"
            ' runtime: no runtime for "gvisor" is configured',
            Mend.RUNTIME_CLASS,
            'failed to get sandbox runtime: no runtime for "gvisor" is configured',
        ),
        (obstacles.unmade, "failed to mkdir", Mend.ANYTHING, "failed to mkdir"),
        (
            partial(obstacles.unpulled, final=True),
            "",
            Mend.IMAGE,
            "",
        ),
    ],
)
def test_what_a_node_says(
    read: Callable[[str], Obstacle], text: str, mend: Mend, words: str
) -> None:
    found = read(text)
    assert (found.mend, found.words) == (mend, words)


def test_long_words_are_cut_and_advice_names_the_field() -> None:
    assert len(obstacles.quoted("word " * 1000)) == obstacles.WORDS_LIMIT
    for mend in Mend:
        assert "{" not in mend.advice("`spec.training.template`")
