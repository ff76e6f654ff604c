"""Natural batching: requests queue while a batch runs, and the next batch takes what waits.

No timer: an idle encoder begins at once, a busy one packs more the busier it is (the scheme of
text-embeddings-inference).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lockstep_core.encoding import Raw
from lockstep_core.serving.admission import Admission, expired
from lockstep_core.serving.errors import RequestError
from lockstep_encoder.metrics import EncoderMetrics

logger = logging.getLogger(__name__)
Items = Raw
"""[items, *shape]: images as uint8, vectors as float32, or texts."""
Encode = Callable[[Items], NDArray[np.float32]]


@dataclass(frozen=True)
class Embedded:
    """`vectors` [items, dimension]; seconds in the queue, and of the batch that it was part of."""

    vectors: NDArray[np.float32]
    queue_seconds: float
    infer_seconds: float


@dataclass(frozen=True)
class _Waiting:
    inputs: Items
    answer: asyncio.Future[Embedded]
    since: float
    deadline: float | None


class Batcher:
    """One inference thread; all the state lives on the event loop, so there are no locks."""

    def __init__(
        self, encode: Encode, *, max_items: int, admission: Admission, metrics: EncoderMetrics
    ) -> None:
        self._encode = encode
        self._max_items = max_items
        self._admission = admission
        self._metrics = metrics
        self._queue: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="inference")
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._run())
        metrics.queue_depth.set_function(lambda: admission.items)

    def broken(self) -> str | None:
        """For the liveness probe: None, or why no batch will ever run again."""
        return "the inference loop has ended" if self._task.done() else None

    async def embed(self, inputs: Items, deadline: float | None = None) -> Embedded:
        """Embeds `inputs` [items, ...] with whatever else waits.

        Raises `RequestError`: 504 when `deadline` (loop clock) passes before its batch begins.
        The caller holds the room that `Admission` gave.
        """
        answer: asyncio.Future[Embedded] = self._loop.create_future()
        self._queue.append(_Waiting(inputs, answer, self._loop.time(), deadline))
        self._arrived.set()
        return await answer

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})
        self._thread.shutdown(wait=False)

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            batch = self._take()
            if not batch:
                self._arrived.clear()
                continue
            await self._answer(batch)

    def _take(self) -> list[_Waiting]:
        """Whole requests from the front, up to `max_items` (a larger request goes alone)."""
        batch: list[_Waiting] = []
        items, now = 0, self._loop.time()
        while self._queue:
            first = self._queue[0]
            if first.answer.cancelled():
                self._metrics.rejected.labels("Cancelled").inc()
            elif first.deadline is not None and first.deadline <= now:
                self._metrics.rejected.labels("DeadlineExceeded").inc()
                first.answer.set_exception(expired())
            elif batch and items + len(first.inputs) > self._max_items:
                break
            else:
                batch.append(first)
                items += len(first.inputs)
            self._queue.popleft()
        return batch

    async def _answer(self, batch: list[_Waiting]) -> None:
        begun = self._loop.time()
        try:
            joined: Items = np.concatenate([each.inputs for each in batch])
            vectors = await self._loop.run_in_executor(self._thread, self._encode_all, joined)
        except Exception as error:
            await self._failed(batch, error)
            return
        seconds = self._loop.time() - begun
        self._metrics.batch_items.observe(len(joined))
        self._metrics.infer_seconds.observe(seconds)
        row = 0
        for each in batch:
            part = vectors[row : row + len(each.inputs)]
            row += len(each.inputs)
            if not each.answer.done():
                each.answer.set_result(Embedded(part, begun - each.since, seconds))

    async def _failed(self, batch: list[_Waiting], error: Exception) -> None:
        """One request whose embedding fails must not fail those that share its batch."""
        if len(batch) > 1:
            for each in batch:
                await self._answer([each])
            return
        logger.error("a batch failed: %s", error)
        if not batch[0].answer.done():
            batch[0].answer.set_exception(
                RequestError(500, f"the model failed on this input: {error}", code="inference")
            )

    def _encode_all(self, inputs: Items) -> NDArray[np.float32]:
        step = self._max_items
        parts = [self._encode(inputs[at : at + step]) for at in range(0, len(inputs), step)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)
