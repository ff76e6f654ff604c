"""Before Ready: does this encoder with this index still answer as it did when the index was sealed?

A wrong execution provider, a wrong file behind a right name, or an index of another encoder all
show here, end to end, and not as plausible nonsense to a user.
"""

from __future__ import annotations

import asyncio
import base64
import logging

import numpy as np
from numpy.typing import NDArray

from lockstep_core.protocol.artifacts import ArtifactKind
from lockstep_core.protocol.config import IndexEndpoint
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.http import Neighbour
from lockstep_core.quality.agreement import (
    TOLERANCES,
    embedding_difference,
    neighbour_difference,
)
from lockstep_core.serving.errors import RequestError
from lockstep_core.serving.lifecycle import Lifecycle
from lockstep_core.serving.startup import StartError
from lockstep_encoder.index_client import IndexClient, IndexUnavailable, PairingRefused

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0


async def verify(
    client: IndexClient,
    index: IndexEndpoint,
    golden: NDArray[np.float32],
    kind: ArtifactKind,
    lifecycle: Lifecycle,
) -> None:
    """Waits for the index, then compares what it was sealed with: its golden queries with `golden`
    [items, dimension], which an encoder of `kind` embedded here, and its answers to those queries
    with the sealed ones. Raises `StartError` (SELF_CHECK_FAILED) on a definite difference.
    """
    check = f"index {index.name}"
    lifecycle.wait_for(check, f"asking {index.url}")
    while True:
        try:
            await _compare(client, index, golden, kind)
        except (IndexUnavailable, RequestError) as error:
            lifecycle.wait_for(check, str(error))
            await asyncio.sleep(RETRY_SECONDS)
        except PairingRefused as error:
            raise _failed(index, str(error)) from error
        else:
            lifecycle.passed(check)
            logger.info("index %s answers the golden queries as sealed", index.name)
            return


async def _compare(
    client: IndexClient, index: IndexEndpoint, golden: NDArray[np.float32], kind: ArtifactKind
) -> None:
    sealed = await client.golden(index)
    if len(sealed.results) != len(golden):
        raise _failed(
            index,
            f"it was sealed with {len(sealed.results)} golden items, the model has {len(golden)}",
        )
    if sealed.queries is None:
        # An older index server: what was embedded here is all there is to search with.
        queries = golden
    else:
        # Searched as sealed, so that the rounding of this processor does not show in the answers:
        # it shows in the embeddings alone, and there in the measure of the artifact's kind.
        queries = _sealed_queries(index, sealed.queries, golden)
        if cause := embedding_difference(queries, golden, kind):
            raise _failed(
                index,
                f"the golden items, embedded here and as sealed, {cause}; it may also be"
                f" {TOLERANCES[kind].cause}",
            )
        kind = ArtifactKind.FLOAT32
    answer = await client.search(index, queries, sealed.k)
    answers = [[Neighbour.model_validate(hit) for hit in hits] for hits in answer.results]
    for item, (one, other) in enumerate(zip(sealed.results, answers, strict=True)):
        if cause := neighbour_difference(one, other, kind):
            raise _failed(
                index, f"golden item {item}: {cause}; it may also be {TOLERANCES[kind].cause}"
            )


def _sealed_queries(
    index: IndexEndpoint, encoded: str, golden: NDArray[np.float32]
) -> NDArray[np.float32]:
    """[items, dimension] as `golden`. Raises `StartError` for anything else."""
    try:
        data = base64.b64decode(encoded, validate=True)
        return np.frombuffer(data, "<f4").astype(np.float32).reshape(golden.shape)
    except ValueError as error:
        raise _failed(index, f"its golden queries are not {list(golden.shape)} float32") from error


def _failed(index: IndexEndpoint, cause: str) -> StartError:
    return StartError(
        ExitCode.SELF_CHECK_FAILED,
        "GoldenMismatch",
        f"index {index.name} (build {index.build_digest}, space {index.space_id}) does not belong"
        f" to this encoder, or one of the two is damaged: {cause}. Nothing was served; build the"
        " index again.",
    )
