"""Three hundred models: the same four writes for each, and none after."""

from __future__ import annotations

from collections.abc import Callable

from tests.cluster.support.models import Cluster, Launch, four_writes_for_each
from tests.cluster.support.operator_process import Writes


def test_four_writes_for_each_of_three_hundred_models(
    cluster: Cluster,
    launch: Launch,
    writes: Writes,
    record_property: Callable[[str, object], None],
) -> None:
    measured = four_writes_for_each(300, cluster, launch, writes)
    record_property("three_hundred_models", measured)
    print(measured)
