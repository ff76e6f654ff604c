"""The toy metric is exposed by the encoder, counted by the operator and judged by a gate."""

from __future__ import annotations

import numpy as np
from prometheus_client import CollectorRegistry, generate_latest

from lockstep_core.protocol.metrics import ENCODER_FULL_BATCHES
from lockstep_core.serving.admission import Admission
from lockstep_encoder.batching import Batcher
from lockstep_encoder.metrics import EncoderMetrics
from lockstep_operator.decide.snapshot.measurements import Tally
from lockstep_operator.runtime.counting import Counting, parse
from tests.unit.core import test_metrics_table
from tests.unit.decide.gates.lab import Lab

GATE = {"name": "full", "type": "FullBatches", "maxRatio": "0.5", "minSamples": 4}


async def test_from_a_batch_to_a_verdict() -> None:
    registry = CollectorRegistry()
    batcher = Batcher(
        lambda inputs: np.asarray(inputs, np.float32),
        max_items=2,
        admission=Admission(100),
        metrics=EncoderMetrics(registry),
    )
    counting, shown = Counting(), generate_latest(registry).decode()
    assert "lockstep_encoder_full_batches_total 0.0" in shown
    counting.add({"a": parse(shown)})
    for items in (1, 2, *[5] * 48):
        await batcher.embed(np.ones((items, 1), np.float32))
    await batcher.close()
    tally = counting.add({"a": parse(generate_latest(registry).decode())})
    assert tally.total(ENCODER_FULL_BATCHES) == 49

    found = Lab(GATE).pod("a").play("full", Tally(), tally)
    assert found.verdict == "Fail" and "full 49 of 50" in found.message


def test_the_table_has_it() -> None:
    test_metrics_table.test_every_metric_is_in_the_table_of_its_program_once()
    test_metrics_table.test_a_name_says_the_program_and_the_kind("encoder")
