"""What a canary costs the API server: nothing while it pauses, a few writes for each step."""

from __future__ import annotations

import json

from tests.cluster.support.canary import WRITES_A_STEP, canary_writes
from tests.cluster.support.kubelet import Kubelet
from tests.cluster.support.models import Cluster, Launch, no_crash
from tests.cluster.support.operator_process import Writes

# Ten minutes of it: tests/scale.
PAUSE_SECONDS = 30


def test_nothing_is_written_in_a_pause_and_little_for_each_step(
    cluster: Cluster, launch: Launch, writes: Writes, kubelet: Kubelet
) -> None:
    operator = launch(resync_seconds=5.0)
    measured = canary_writes(cluster, writes, PAUSE_SECONDS)
    print(json.dumps(measured))
    assert measured["writes_in_the_pause"] == {}
    assert measured["writes_of_steps"] <= WRITES_A_STEP * measured["steps"], measured
    no_crash(operator)
