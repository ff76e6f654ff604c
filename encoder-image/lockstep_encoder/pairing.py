"""Before Ready: does this encoder with this index still answer as it did when the index was sealed?

A wrong execution provider, a wrong file behind a right name, or an index of another encoder all
show here, end to end, and not as plausible nonsense to a user.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lockstep_core.protocol.config import IndexEndpoint
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.http import MAX_ITEMS, Neighbour
from lockstep_core.serving.errors import RequestError
from lockstep_core.serving.lifecycle import Lifecycle
from lockstep_core.serving.startup import StartError
from lockstep_encoder.index_client import IndexClient, IndexUnavailable, PairingRefused

logger = logging.getLogger(__name__)

TOLERANCE = 1e-3
"""Of a distance in [0, 2]. float32 on another CPU differs by about 1e-6; another encoder by 0.1."""
RETRY_SECONDS = 1.0


def difference(expected: Sequence[Neighbour], found: Sequence[Neighbour]) -> str | None:
    """How one item's neighbours differ from the expected ones; None when they agree.

    They agree when each rank's distance does, and every id that only one of them has lies within
    `TOLERANCE` of the last rank: of several equally far items, any may be the k-th.
    """
    if len(expected) != len(found):
        return f"{len(expected)} neighbours were expected, {len(found)} came"
    for rank, (one, other) in enumerate(zip(expected, found, strict=True), start=1):
        if not abs(one.distance - other.distance) <= TOLERANCE:
            return (
                f"at rank {rank} {one.id} at distance {one.distance:.4f} was expected,"
                f" {other.id} at {other.distance:.4f} came"
            )
    if not expected:
        return None
    edge = expected[-1].distance - 2 * TOLERANCE
    wanted = {each.id: each.distance for each in expected}
    came = {each.id: each.distance for each in found}
    for name, distance in wanted.items():
        if name not in came and distance < edge:
            return f"{name} at distance {distance:.4f} was expected and did not come"
        if name in came and not abs(came[name] - distance) <= TOLERANCE:
            return f"{name} was expected at distance {distance:.4f} and came at {came[name]:.4f}"
    for name, distance in came.items():
        if name not in wanted and distance < edge:
            return f"{name} at distance {distance:.4f} came and was not expected"
    return None


async def verify(
    client: IndexClient, index: IndexEndpoint, golden: NDArray[np.float32], lifecycle: Lifecycle
) -> None:
    """Waits for the index, then compares its answers to `golden` [items, dimension] with the
    sealed ones. Raises `StartError` (SELF_CHECK_FAILED) on a definite difference.
    """
    check = f"index {index.name}"
    lifecycle.wait_for(check, f"asking {index.url}")
    while True:
        try:
            await _compare(client, index, golden)
        except (IndexUnavailable, RequestError) as error:
            lifecycle.wait_for(check, str(error))
            await asyncio.sleep(RETRY_SECONDS)
        except PairingRefused as error:
            raise _failed(index, str(error)) from error
        else:
            lifecycle.passed(check)
            logger.info("index %s answers the golden queries as sealed", index.name)
            return


async def _compare(client: IndexClient, index: IndexEndpoint, golden: NDArray[np.float32]) -> None:
    sealed = await client.golden(index)
    if len(sealed.results) != len(golden):
        raise _failed(
            index,
            f"it was sealed with {len(sealed.results)} golden items, the model has {len(golden)}",
        )
    found = []
    for at in range(0, len(golden), MAX_ITEMS):
        answer = await client.search(index, golden[at : at + MAX_ITEMS], sealed.k)
        found += [[Neighbour.model_validate(hit) for hit in hits] for hits in answer.results]
    for item, (one, other) in enumerate(zip(sealed.results, found, strict=True)):
        if cause := difference(one, other):
            raise _failed(index, f"golden item {item}: {cause}")


def _failed(index: IndexEndpoint, cause: str) -> StartError:
    return StartError(
        ExitCode.SELF_CHECK_FAILED,
        "GoldenMismatch",
        f"index {index.name} (build {index.build_digest}, space {index.space_id}) does not belong"
        f" to this encoder, or one of the two is damaged: {cause}. Nothing was served; build the"
        " index again.",
    )
