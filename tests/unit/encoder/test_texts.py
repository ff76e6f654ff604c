"""Texts over HTTP: strings in, embeddings out, and a refusal that names the item."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.middleware import Middleware

from lockstep_core.encoding import Encoder, as_texts
from lockstep_core.protocol import headers
from lockstep_core.protocol.config import IndexEndpoint
from lockstep_core.serving.admission import Admission
from lockstep_core.serving.errors import EXCEPTION_HANDLERS
from lockstep_core.serving.identity import Identity, IdentityHolder, IdentityMiddleware
from lockstep_encoder.api import Api
from lockstep_encoder.batching import Batcher
from lockstep_encoder.index_client import IndexAnswer
from lockstep_encoder.metrics import EncoderMetrics
from lockstep_encoder.model import Model
from tests.unit.texts import TEXTS, describe, tokens, write

pytestmark = pytest.mark.unit

BUILD = f"sha256:{'b' * 64}"


class Index:
    """Answers with the first number of each vector that it was asked for."""

    async def search(self, index: Any, vectors: Any, k: int, **_: Any) -> IndexAnswer:
        found = [[{"id": f"{row[0]:.4f}", "label": "x", "distance": 0.0}] for row in vectors]
        return IndexAnswer(results=found, space=index.space_id, build=index.build_digest)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[httpx.AsyncClient, Model]]:
    """An encoder of texts of at most 8 tokens, whose first number is of use alone."""
    write(tmp_path, tokens(max_length=8))
    manifest = describe(tmp_path, (tmp_path / "preprocess.json").read_bytes(), matryoshka=(1,))
    model = Model("words", "words-r1", manifest, Encoder.load(tmp_path, manifest))
    metrics, admission = EncoderMetrics(CollectorRegistry()), Admission(64)
    batcher = Batcher(model.encoder.encode, max_items=4, admission=admission, metrics=metrics)
    index = IndexEndpoint(
        name="words", url="http://words", build_digest=BUILD, space_id=model.space
    )
    client: Any = Index()
    api = Api(
        model,
        batcher,
        admission,
        metrics,
        client=client,
        indexes={"words": index},
        clock=asyncio.get_running_loop().time,
    )
    holder = IdentityHolder(Identity(release="words-r1", space=model.space))
    app = Starlette(
        routes=api.routes(),
        exception_handlers=EXCEPTION_HANDLERS,
        middleware=[Middleware(IdentityMiddleware, holder=holder)],
    )
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://words") as asking:
        yield asking, model
    await batcher.close()


async def test_texts_are_embedded_alone_or_in_lists(served: Any) -> None:
    client, model = served
    wanted = model.encoder.encode(as_texts(TEXTS))
    body = (await client.post("/v1/embeddings", json={"input": TEXTS})).json()
    np.testing.assert_allclose([row["embedding"] for row in body["data"]], wanted, atol=1e-6)
    tokens_read = int(model.encoder.count_units(as_texts(TEXTS)).sum())
    assert body["usage"] == {"prompt_tokens": tokens_read, "total_tokens": tokens_read}
    one = (await client.post("/v1/embeddings", json={"input": TEXTS[1]})).json()
    np.testing.assert_allclose(one["data"][0]["embedding"], wanted[1], atol=1e-6)


async def test_texts_are_searched(served: Any) -> None:
    client, model = served
    found = await client.post("/v1/search", json={"input": TEXTS[:2], "k": 1})
    firsts = model.encoder.encode(as_texts(TEXTS[:2]))[:, 0]
    assert [hits[0]["id"] for hits in found.json()["results"]] == [f"{x:.4f}" for x in firsts]
    assert found.headers[headers.SPACE] == model.space


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (["cat", "the cat sat on the mat mat"], "item 1: has 9 tokens, but .* at most 8"),
        (["", "cat"], "item 0: is empty text"),
        (["cat", "c\0t"], "item 1: holds a NUL"),
        ([1.0, 2.0], "item 0: is numbers, but this encoder takes text"),
        ("x" * 40_000, "item 0: has 40000 characters"),
    ],
)
async def test_a_text_that_cannot_be_taken_is_named(served: Any, value: Any, said: str) -> None:
    client, _ = served
    answer = await client.post("/v1/embeddings", json={"input": value})
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("invalid_input", "input")
    assert re.search(said, error["message"])


async def test_only_dimensions_that_were_trained_for_are_given(served: Any) -> None:
    client, model = served
    short = await client.post("/v1/embeddings", json={"input": TEXTS, "dimensions": 1})
    rows = np.array([row["embedding"] for row in short.json()["data"]], np.float32)
    assert rows.shape == (len(TEXTS), 1)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    # A prefix is of another space, and says so.
    assert short.headers[headers.SPACE] == model.manifest.space_of_prefix(1) != model.space
    whole = await client.post("/v1/embeddings", json={"input": TEXTS, "dimensions": 2})
    assert whole.headers[headers.SPACE] == model.space
    other = await client.post("/v1/embeddings", json={"input": TEXTS, "dimensions": 3})
    assert other.status_code == 422
    assert "`dimensions` is 3, but this encoder's embeddings have 1 or 2" in other.text
