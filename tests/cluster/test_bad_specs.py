"""Every field times its classes of wrong: the API server says which field, and what must hold."""

from __future__ import annotations

import pytest

from tests.cluster.support.bad_gates import BAD_GATES, GOOD_CHANGES
from tests.cluster.support.bad_policies import (
    FINE_POLICIES,
    GOOD_POLICY,
    POLICY_RULES,
    POLICY_TYPES,
)
from tests.cluster.support.bad_specs import (
    OPERATOR_REFUSES,
    SERVER_REFUSES,
    BadSpec,
    OperatorRefusal,
)
from tests.cluster.support.control_plane import ControlPlane
from tests.cluster.support.never_pass import FINE_ALL_THE_SAME, NEVER_PASS
from tests.cluster.support.specs import (
    BUCKET,
    GOOD_IMPORT,
    GOOD_INDEX,
    GOOD_MODEL,
    MISSING,
    spoiled,
)


def dry_run(control_plane: ControlPlane, found: object) -> tuple[int, str]:
    done = control_plane.kubectl(
        *("create", "--dry-run=server", "--validate=strict", "-n", "default", "-f", "-"),
        stdin=found,
        check=False,
    )
    return done.returncode, done.stderr


ALL = (*SERVER_REFUSES, *BAD_GATES, *NEVER_PASS, *POLICY_TYPES, *POLICY_RULES)


@pytest.mark.parametrize("bad", ALL, ids=lambda bad: bad.name)
def test_the_server_refuses(control_plane: ControlPlane, bad: BadSpec) -> None:
    code, message = dry_run(control_plane, spoiled(bad.good, bad.changes))
    assert code != 0, "it was accepted"
    missing = [word for word in bad.words if word not in message]
    assert not missing, f"{missing} not in: {message}"


@pytest.mark.parametrize(
    "good",
    [
        GOOD_MODEL,
        GOOD_INDEX,
        spoiled(
            GOOD_MODEL,
            {
                "spec.artifacts": BUCKET,
                "spec.training.data.uri": "s3://lockstep/datasets/glyphs.npz",
            },
        ),
        spoiled(GOOD_MODEL, {"spec.serving.autoscaling": {"maxReplicas": 5}}),
        GOOD_IMPORT,
        spoiled(GOOD_IMPORT, {"spec.artifact.uri": "file:///artifacts"}),
        spoiled(GOOD_IMPORT, {"spec.evaluation": MISSING, "spec.rollout": MISSING}),
        spoiled(GOOD_MODEL, {"metadata.name": "a" * 30, "spec.indexing": "None"}),
        spoiled(GOOD_MODEL, GOOD_CHANGES),
        GOOD_POLICY,
        *(spoiled(GOOD_POLICY, changes) for changes in FINE_POLICIES.values()),
    ],
    ids=[
        "model",
        "index",
        "model-in-a-bucket",
        "autoscaled",
        "import",
        "import-from-its-own-store",
        "import-unmeasured",
        "model-alone",
        "gates",
        "policy",
        *FINE_POLICIES,
    ],
)
def test_what_they_are_made_of_is_fine(control_plane: ControlPlane, good: object) -> None:
    code, message = dry_run(control_plane, good)
    assert code == 0, message


@pytest.mark.parametrize("name", FINE_ALL_THE_SAME)
def test_what_is_near_to_it_is_fine(control_plane: ControlPlane, name: str) -> None:
    code, message = dry_run(control_plane, spoiled(*FINE_ALL_THE_SAME[name]))
    assert code == 0, message


@pytest.mark.parametrize("refusal", OPERATOR_REFUSES, ids=lambda refusal: refusal.name)
def test_what_is_left_to_the_operator_passes_the_schema(
    control_plane: ControlPlane, refusal: OperatorRefusal
) -> None:
    for found in (
        spoiled(GOOD_MODEL, refusal.model),
        spoiled(GOOD_INDEX, refusal.index or {}),
    ):
        code, message = dry_run(control_plane, found)
        assert code == 0, message


def test_there_are_enough_of_them() -> None:
    names = [bad.name for bad in ALL]
    assert len(names) >= 60 and len(set(names)) == len(names)
