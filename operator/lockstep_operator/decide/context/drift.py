"""Drift policies of the model, and what their recorded statuses hold."""

from __future__ import annotations

from lockstep_operator.api.drift_actions import Deed
from lockstep_operator.api.drift_policy import DriftPolicy
from lockstep_operator.api.kinds import DRIFT_POLICY
from lockstep_operator.api.objects import Release
from lockstep_operator.api.release import Cause
from lockstep_operator.decide.snapshot.snapshot import Snapshot


def drift_policies(snapshot: Snapshot) -> tuple[DriftPolicy, ...]:
    """Those that can be read, by name."""
    found = (policies for policies in snapshot.policies if policies.kind is DRIFT_POLICY)
    return next((policies.objects for policies in found), ())


def holding_policy(snapshot: Snapshot, release: Release) -> DriftPolicy | None:
    """The policy that holds a candidate by its Pause.

    What was made against the drift goes on, and so does a release that had served and returns: both
    may be what ends it.
    """
    if release.spec.cause is Cause.DRIFT or release.status.promoted_at is not None:
        return None
    policies = (p for p in drift_policies(snapshot) if p.status.pauses)
    return next((p for p in policies if p.spec.triggers_of(Deed.PAUSE)), None)
