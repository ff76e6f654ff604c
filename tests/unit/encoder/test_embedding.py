"""A request of many items takes the room of few, and lets others pass."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry
from starlette.requests import Request

from lockstep_core.artifacts import InputKind, InputSpec
from lockstep_core.protocol.http import MAX_ITEMS
from lockstep_core.serving.admission import Admission
from lockstep_core.serving.errors import RequestError
from lockstep_encoder.batching import Batcher, Items
from lockstep_encoder.embedding import MAX_NUMBERS, ItemEmbedder
from lockstep_encoder.items import PART_ITEMS
from lockstep_encoder.metrics import EncoderMetrics
from lockstep_encoder.model import Model

pytestmark = pytest.mark.unit

SPEC = InputSpec(kind=InputKind.VECTOR, shape=(1,), dtype="float32")


def a_model(dimension: int = 1) -> Model:
    """It reads numbers; each is a unit."""
    encoder = SimpleNamespace(count_units=lambda items: np.ones(len(items), np.int64))
    manifest = SimpleNamespace(input=SPEC, dimension=dimension)
    return Model("m", "m-r1", cast(Any, manifest), cast(Any, encoder))


async def _stays() -> Any:
    await asyncio.Event().wait()


REQUEST = Request({"type": "http"}, receive=_stays)


async def test_a_large_request_waits_and_decodes_in_parts_and_others_pass_it() -> None:
    admission, seen, held, began = Admission(1024), [], [], threading.Event()

    def encode(items: Items) -> NDArray[np.float32]:
        seen.append(items.ravel().tolist())
        held.append(admission.items)
        began.set()
        return np.asarray(items * 2, np.float32)

    metrics = EncoderMetrics(CollectorRegistry())
    batcher = Batcher(encode, max_items=PART_ITEMS, admission=admission, metrics=metrics)
    embedder = ItemEmbedder(a_model(), batcher, admission, metrics)
    assert embedder.max_items == MAX_ITEMS
    values = [[float(each)] for each in range(MAX_ITEMS)]
    large = asyncio.create_task(embedder.embed(REQUEST, values, None, limit=MAX_ITEMS))
    await asyncio.to_thread(began.wait, 30)
    small, _ = await embedder.embed(REQUEST, [[-1.0]], None, limit=MAX_ITEMS)
    assert small.vectors.tolist() == [[-2.0]] and not large.done()
    found, units = await large
    assert found.vectors.ravel().tolist() == [2 * each for each in range(MAX_ITEMS)]
    assert units == MAX_ITEMS and found.queue_seconds > 0
    assert max(map(len, seen)) == PART_ITEMS and max(held) <= PART_ITEMS + 1
    assert admission.items == 0
    await batcher.close()


async def test_room_is_given_back_when_a_later_part_is_refused() -> None:
    admission, metrics = Admission(1024), EncoderMetrics(CollectorRegistry())
    batcher = Batcher(
        lambda items: np.asarray(items, np.float32),
        max_items=64,
        admission=admission,
        metrics=metrics,
    )
    embedder = ItemEmbedder(a_model(), batcher, admission, metrics)
    values = [[0.0]] * 700 + [[0.0, 1.0]]
    with pytest.raises(RequestError, match="item 700: has 2 numbers"):
        await embedder.embed(REQUEST, values, None, limit=MAX_ITEMS)
    late = asyncio.get_running_loop().time()
    with pytest.raises(RequestError) as expired:
        await embedder.embed(REQUEST, values[:600], late, limit=MAX_ITEMS)
    assert expired.value.status == 504 and admission.items == 0
    await batcher.close()


@pytest.mark.parametrize(
    ("dimension", "items"), [(384, 2048), (8192, 2048), (16384, 1024), (65536, 256)]
)
async def test_what_an_answer_holds_is_bounded(dimension: int, items: int) -> None:
    metrics, admission = EncoderMetrics(CollectorRegistry()), Admission(1024)
    batcher = Batcher(lambda items: items, max_items=1, admission=admission, metrics=metrics)
    embedder = ItemEmbedder(a_model(dimension), batcher, admission, metrics)
    assert embedder.max_items == items and items * dimension <= MAX_NUMBERS
    await batcher.close()
