"""Children of a release that it and its model's spec decide, found by the row of their kind.

The `builder` of a row in `api.kinds` names the module here whose `children(model, release)` makes
them. What depends on other releases too (Deployments, the autoscaler) is planned one by one in
`decide.workloads.children`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module

from lockstep_operator.api.kinds import BUILT, ResourceKind
from lockstep_operator.api.objects import Model, Object, Release

Builder = Callable[[Model, Release], Iterable[Object]]


def _builder(kind: ResourceKind) -> Builder:
    build: Builder = import_module(f"{__package__}.{kind.builder}").children
    return build


BUILDERS = tuple(_builder(kind) for kind in BUILT)


def built_children(model: Model, release: Release) -> Iterator[Object]:
    """The children of all such kinds."""
    for build in BUILDERS:
        yield from build(model, release)
