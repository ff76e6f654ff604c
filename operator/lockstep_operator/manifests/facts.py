"""Digests of a release that its pods are given, read from the release's own record."""

from __future__ import annotations

from lockstep_core.protocol.datasets import LabelledDataset
from lockstep_core.protocol.result import BuildFacts, TrainingFacts
from lockstep_core.protocol.storage import ArtifactsSpec
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


def held_out(release: Release) -> LabelledDataset:
    """The labelled set that a release is measured on; raises ValueError where it has none."""
    data = release.spec.held_out
    if data is None:
        raise ValueError(f"release {release.name} was imported without `spec.evaluation`")
    return data


def is_same_store(one: ArtifactsSpec, other: ArtifactsSpec) -> bool:
    """Whether what was published to one is found in the other, with whatever credentials."""
    return one.replace(secret_ref=None) == other.replace(secret_ref=None)
