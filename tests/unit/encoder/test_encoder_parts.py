"""Batching and golden comparison, without a process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from lockstep_core.protocol.http import Neighbour
from lockstep_core.serving.admission import Admission
from lockstep_core.serving.errors import RequestError
from lockstep_encoder.batching import Batcher, Items
from lockstep_encoder.metrics import EncoderMetrics
from lockstep_encoder.pairing import TOLERANCE, difference

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


def _hits(*pairs: tuple[str, float]) -> list[Neighbour]:
    return [Neighbour(id=name, label="x", distance=distance) for name, distance in pairs]


SEALED = _hits(("a", 0.0), ("b", 0.5), ("c", 0.9))


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (SEALED, None),
        (_hits(("a", 0.0005), ("b", 0.4995), ("c", 0.9)), None),
        (_hits(("a", 0.0), ("b", 0.5), ("other", 0.9005)), None),
        (_hits(("a", 0.0), ("b", 0.5)), "3 neighbours were expected, 2 came"),
        (_hits(("a", 0.0), ("b", 0.502), ("c", 0.9)), "at rank 2 b at distance 0.5000"),
        (_hits(("a", 0.0), ("other", 0.5), ("c", 0.9)), "b at distance 0.5000 was expected"),
        (_hits(("a", 0.0), ("b", 0.5), ("c", float("nan"))), "at rank 3"),
    ],
)
def test_golden_answers_agree_up_to_ties(found: list[Neighbour], says: str | None) -> None:
    cause = difference(SEALED, found)
    assert cause is None if says is None else cause is not None and says in cause


@given(
    st.lists(st.floats(0, 2, width=32), min_size=1, max_size=12),
    st.integers(0, 2**32 - 1),
)
def test_rounding_and_ties_never_fail_the_golden_check(distances: list[float], seed: int) -> None:
    """Each CPU sorts its own rounded distances; equally far items come in any order."""
    random = np.random.default_rng(seed)
    true = np.sort(distances)

    def ranked() -> list[Neighbour]:
        seen = true + random.uniform(-TOLERANCE / 4, TOLERANCE / 4, len(true))
        order = np.argsort(seen)[: max(1, len(true) // 2)]
        return _hits(*((f"item {row}", float(seen[row])) for row in order))

    assert difference(ranked(), ranked()) is None


@given(st.lists(st.floats(0, 1.9), min_size=1, max_size=8), st.data())
def test_a_moved_distance_is_always_found(distances: list[float], data: st.DataObject) -> None:
    sealed = _hits(*((f"item {row}", value) for row, value in enumerate(sorted(distances))))
    row = data.draw(st.integers(0, len(sealed) - 1))
    moved = list(sealed)
    moved[row] = sealed[row].model_copy(update={"distance": sealed[row].distance + 0.01})
    assert difference(sealed, moved) is not None
