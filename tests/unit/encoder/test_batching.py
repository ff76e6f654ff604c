"""Batching, without a process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from lockstep_core.serving.admission import Admission
from lockstep_core.serving.errors import RequestError
from lockstep_encoder.batching import Batcher, Items
from lockstep_encoder.metrics import EncoderMetrics

pytestmark = pytest.mark.unit


class HeldModel:
    """Doubles its inputs; each batch waits until `go` is set. 666 is an input that it fails on."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.began = threading.Event()
        self.batches: list[int] = []

    def encode(self, inputs: Items) -> NDArray[np.float32]:
        self.batches.append(len(inputs))
        self.began.set()
        assert self.go.wait(30)
        if (inputs == 666).any():
            raise ValueError("this one is bad")
        return np.asarray(inputs * 2, np.float32)


@asynccontextmanager
async def _batcher(model: HeldModel, max_items: int = 4) -> AsyncIterator[Batcher]:
    metrics = EncoderMetrics(CollectorRegistry())
    batcher = Batcher(model.encode, max_items=max_items, admission=Admission(100), metrics=metrics)
    yield batcher
    model.go.set()
    await batcher.close()


def _items(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32).reshape(-1, 1)


async def _first_runs(model: HeldModel, batcher: Batcher) -> asyncio.Task[object]:
    task = asyncio.create_task(batcher.embed(_items(1)))
    await asyncio.to_thread(model.began.wait, 30)
    return task


async def test_what_waits_while_a_batch_runs_is_the_next_batch() -> None:
    model = HeldModel()
    async with _batcher(model) as batcher:
        first = await _first_runs(model, batcher)
        waiting = [asyncio.create_task(batcher.embed(_items(*range(n)))) for n in (2, 2, 3, 1, 9)]
        await asyncio.sleep(0)
        model.go.set()
        found = await asyncio.gather(*waiting)
        await first
        for n, each in zip((2, 2, 3, 1, 9), found, strict=True):
            assert each.vectors.ravel().tolist() == [2 * value for value in range(n)]
        # Whole requests up to four items; nine items of one request are run in slices of four.
        assert model.batches == [1, 4, 4, 4, 4, 1]
        assert found[0].queue_seconds > 0


async def test_clients_that_left_and_deadlines_that_passed_cost_no_compute() -> None:
    model = HeldModel()
    async with _batcher(model) as batcher:
        first = await _first_runs(model, batcher)
        left = asyncio.create_task(batcher.embed(_items(2, 2)))
        late = asyncio.create_task(
            batcher.embed(_items(3, 3, 3), asyncio.get_running_loop().time())
        )
        stays = asyncio.create_task(batcher.embed(_items(4)))
        await asyncio.sleep(0)
        left.cancel()
        await asyncio.sleep(0)
        model.go.set()
        assert (await stays).vectors.tolist() == [[8.0]]
        with pytest.raises(RequestError) as expired:
            await late
        assert expired.value.status == 504
        await first
        assert model.batches == [1, 1]


async def test_one_bad_input_fails_alone() -> None:
    model = HeldModel()
    async with _batcher(model) as batcher:
        first = await _first_runs(model, batcher)
        good, bad = (asyncio.create_task(batcher.embed(_items(value))) for value in (5, 666))
        await asyncio.sleep(0)
        model.go.set()
        assert (await good).vectors.tolist() == [[10.0]]
        with pytest.raises(RequestError) as failed:
            await bad
        assert failed.value.status == 500 and "this one is bad" in failed.value.message
        await first
        assert (await batcher.embed(_items(7))).vectors.tolist() == [[14.0]]
        assert batcher.broken() is None
    assert batcher.broken() is not None
