"""From the items of a request to their embeddings: counted, admitted, decoded and batched."""

from __future__ import annotations

import asyncio

import numpy as np
from starlette.requests import Request

from lockstep_core.encoding import EncodingError
from lockstep_core.protocol.http import MAX_ITEMS, ItemInput
from lockstep_core.serving.admission import Admission
from lockstep_core.serving.errors import RequestError
from lockstep_encoder.batching import Batcher, Embedded, Items
from lockstep_encoder.disconnects import cancel_on_disconnect
from lockstep_encoder.items import PART_ITEMS, Item, as_items, decode_items
from lockstep_encoder.metrics import EncoderMetrics
from lockstep_encoder.model import Model

MAX_NUMBERS = 16 * 1024 * 1024
"""Numbers of one answer: 64 MiB as float32, and several times that as JSON."""


class ItemEmbedder:
    """Embeds what a request holds, `PART_ITEMS` at a time.

    A request of more items takes no more room than that, whatever it holds: its next part is
    decoded once the last is embedded, and queues behind those who came meanwhile.
    """

    def __init__(
        self, model: Model, batcher: Batcher, admission: Admission, metrics: EncoderMetrics
    ) -> None:
        self._model = model
        self._batcher = batcher
        self._admission = admission
        self._metrics = metrics

    @property
    def max_items(self) -> int:
        """Items of one request for embeddings: fewer than the protocol's where they are wide."""
        return min(MAX_ITEMS, max(PART_ITEMS, MAX_NUMBERS // self._model.dimension))

    async def embed(
        self, request: Request, value: ItemInput, deadline: float | None, *, limit: int
    ) -> tuple[Embedded, int]:
        """The embeddings of up to `limit` items, and the units that were read.

        Raises `RequestError`: 422 for an item that cannot be taken, or for too many; 429 without
        room; 504 when `deadline` (loop clock) passes.
        """
        items = as_items(value)
        _check_count(len(items), limit)
        try:
            with self._admission.admit(min(len(items), PART_ITEMS)):
                return await self._in_parts(request, items, deadline)
        except RequestError as error:
            if error.status == 429:
                self._metrics.rejected.labels("Overloaded").inc()
            raise

    async def _in_parts(
        self, request: Request, items: list[Item], deadline: float | None
    ) -> tuple[Embedded, int]:
        parts: list[Embedded] = []
        total = 0
        for start in range(0, len(items), PART_ITEMS):
            # A decoding thread cannot be stopped, so the room is held to its end.
            inputs, units = await asyncio.to_thread(self._decode, items, start)
            total += units
            work = self._batcher.embed(inputs, deadline)
            parts.append(await cancel_on_disconnect(request, work))
        if len(parts) == 1:
            return parts[0], total
        vectors = np.concatenate([each.vectors for each in parts])
        queued = sum(each.queue_seconds for each in parts)
        return Embedded(vectors, queued, sum(each.infer_seconds for each in parts)), total

    def _decode(self, items: list[Item], start: int) -> tuple[Items, int]:
        """The part from `start` on. What is wrong with an item shows here, before it shares a batch
        with others."""
        try:
            part = items[start : start + PART_ITEMS]
            decoded = decode_items(part, self._model.manifest.input)
            return decoded, int(self._model.encoder.count_units(decoded).sum())
        except EncodingError as error:
            place = None if error.item is None else start + error.item
            message = str(EncodingError(error.reason, item=place))
            raise RequestError(422, message, code="invalid_input", param="input") from error


def _check_count(count: int, limit: int) -> None:
    if not 1 <= count <= limit:
        raise RequestError(
            422,
            f"`input` has {count} items, must have 1 to {limit}",
            code="invalid_field",
            param="input",
        )
