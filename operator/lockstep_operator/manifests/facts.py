"""Digests of a release that its pods are told, read from the release's own record."""

from __future__ import annotations

from lockstep_core.protocol.result import BuildFacts, TrainingFacts
from lockstep_operator.api.objects import Release


def training_facts(release: Release) -> TrainingFacts:
    """The model artifact that this release trained, or took over from another release.

    Raises ValueError while there is none.
    """
    if release.status.training is not None:
        return release.status.training
    if release.spec.reuse is not None:
        return release.spec.reuse.training
    raise ValueError(f"release {release.name} has no model artifact yet")


def build_facts(release: Release, index: str) -> BuildFacts:
    """The build of one index of this release; raises ValueError while there is none."""
    for build in release.status.builds or ():
        if build.index == index:
            return build
    raise ValueError(f"release {release.name} has no build of index {index} yet")
