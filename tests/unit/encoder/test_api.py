"""A Ready encoder process with its index: answers, identity, and what hostile clients get."""

from __future__ import annotations

import base64
import gzip
import io
import json
import struct
import zlib
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from lockstep_core.protocol import headers
from lockstep_core.protocol.http import SearchResponse
from lockstep_core.quality.recall import exact_neighbours
from tests.unit.encoder.support import BUILD, Pair, letters

pytestmark = pytest.mark.unit


def png(image: NDArray[np.uint8]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def bomb(side: int) -> str:
    """A PNG of a few hundred bytes that says it is `side` x `side`."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes(100_000), 9)
    found = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data)
    return base64.b64encode(found + chunk(b"IEND", b"")).decode()


def post(pair: Pair, path: str, body: Any, **sent: str) -> httpx.Response:
    names = {name.replace("_", "-"): value for name, value in sent.items()}
    return httpx.post(f"{pair.encoder.url}{path}", json=body, headers=names, timeout=30)


def test_embeddings_are_the_models_own_in_both_encodings(pair: Pair) -> None:
    images = letters()[0][:7]
    sent = [png(image) for image in images]
    response = post(pair, "/v1/embeddings", {"input": sent, "model": "letters"})
    body = response.json()
    found = np.array([row["embedding"] for row in body["data"]], np.float32)
    np.testing.assert_allclose(found, pair.model.embed(images), atol=1e-6)
    assert [row["index"] for row in body["data"]] == list(range(7))
    assert body["usage"] == {"prompt_tokens": 7, "total_tokens": 7} and body["model"] == "letters"
    assert "queue;dur=" in response.headers["server-timing"]
    coded = post(pair, "/v1/embeddings", {"input": sent, "encoding_format": "base64"}).json()
    rows = [np.frombuffer(base64.b64decode(row["embedding"]), "<f4") for row in coded["data"]]
    np.testing.assert_allclose(np.stack(rows), found, atol=1e-6)


def test_an_image_may_come_as_pixels(pair: Pair) -> None:
    image = letters()[0][3]
    one = post(pair, "/v1/embeddings", {"input": image.ravel().tolist(), "model": "letters-r1"})
    two = post(pair, "/v1/embeddings", {"input": png(image)})
    assert one.json()["data"] == two.json()["data"]


def test_models_and_dimensions(pair: Pair) -> None:
    listed = httpx.get(f"{pair.encoder.url}/v1/models").json()["data"]
    assert [each["id"] for each in listed] == ["letters", "letters-r1"]
    image = png(letters()[0][0])
    wrong = post(pair, "/v1/embeddings", {"input": image, "model": "text-embedding-3"})
    assert wrong.status_code == 404 and "letters-r1" in wrong.json()["error"]["message"]
    assert post(pair, "/v1/embeddings", {"input": image, "dimensions": 12}).status_code == 200
    other = post(pair, "/v1/embeddings", {"input": image, "dimensions": 8})
    assert other.status_code == 422 and other.json()["error"]["param"] == "dimensions"


def test_each_model_is_had_by_its_name(pair: Pair) -> None:
    listed = httpx.get(f"{pair.encoder.url}/v1/models").json()["data"]
    for each in listed:
        assert httpx.get(f"{pair.encoder.url}/v1/models/{each['id']}").json() == each
    other = httpx.get(f"{pair.encoder.url}/v1/models/text-embedding-3-small")
    assert other.status_code == 404
    assert other.json()["error"]["code"] == "model_not_found"
    assert "this encoder serves 'letters'" in other.json()["error"]["message"]
    text = httpx.get(f"{pair.encoder.url}/metrics").text
    assert 'lockstep_encoder_requests_total{api="models",code="200"}' in text


def test_what_a_client_leaves_open_may_be_null(pair: Pair) -> None:
    image = png(letters()[0][0])
    plain = post(pair, "/v1/embeddings", {"input": image}).json()
    nulls = {"encoding_format": None, "dimensions": None, "user": None, "model": None}
    assert post(pair, "/v1/embeddings", {"input": image, **nulls}).json() == plain


def test_as_many_items_as_openai_takes_are_embedded_in_parts(pair: Pair) -> None:
    images = np.resize(letters()[0], (2048, 16, 16))
    sent = [png(image) for image in images]
    found = post(pair, "/v1/embeddings", {"input": sent, "encoding_format": "base64"})
    assert found.status_code == 200
    rows = [np.frombuffer(base64.b64decode(each["embedding"]), "<f4") for each in
            found.json()["data"]]  # fmt: skip
    np.testing.assert_allclose(np.stack(rows), pair.model.embed(images), atol=1e-6)
    assert found.json()["usage"]["total_tokens"] == 2048
    too_many = post(pair, "/v1/embeddings", {"input": [*sent, sent[0]]})
    assert too_many.status_code == 422 and too_many.json()["error"]["param"] == "input"
    # One that cannot be taken is named by its place in the request, not in its part.
    bad = post(pair, "/v1/embeddings", {"input": [*sent[:300], "%%%", *sent[301:]]})
    assert bad.status_code == 422
    assert bad.json()["error"]["message"].startswith("item 300: is not base64")


def test_a_gzip_body_is_read_and_another_encoding_named(pair: Pair) -> None:
    image = letters()[0][5]
    body = json.dumps({"input": png(image)}).encode()
    url = f"{pair.encoder.url}/v1/embeddings"
    sent = {"content-encoding": "gzip"}
    found = httpx.post(url, content=gzip.compress(body), headers=sent).json()
    np.testing.assert_allclose(
        found["data"][0]["embedding"], pair.model.embed(image[None])[0], atol=1e-6
    )
    other = httpx.post(url, content=body, headers={"content-encoding": "zstd"})
    assert other.status_code == 415 and "zstd" in other.json()["error"]["message"]
    bomb_ = httpx.post(url, content=gzip.compress(bytes(200_000_000)), headers=sent)
    assert bomb_.status_code == 413


def test_search_is_exact_and_says_who_answered(pair: Pair) -> None:
    images, labels = letters()
    queries = images[::20]
    response = post(pair, "/v1/search", {"input": [png(one) for one in queries], "k": 4})
    found = SearchResponse.model_validate(response.json())
    space = pair.model.manifest.space_id
    assert (found.space_id, found.index_space_id, found.build) == (space, space, BUILD)
    assert (found.release, found.index) == ("letters-r1", "letters")
    for header, value in (
        (headers.RELEASE, "letters-r1"),
        (headers.SPACE, space),
        (headers.INDEX_SPACE, space),
        (headers.BUILD, BUILD),
    ):
        assert response.headers[header] == value
    assert "index;dur=" in response.headers["server-timing"]
    vectors = pair.model.embed(images)
    rows, distances = exact_neighbours(pair.model.embed(queries), vectors, 4)
    for hits, expected, apart in zip(found.results, rows, distances, strict=True):
        assert [hit.label for hit in hits] == list(labels[expected])
        np.testing.assert_allclose([hit.distance for hit in hits], apart, atol=1e-3)


def test_another_space_or_build_is_refused_and_both_are_named(pair: Pair) -> None:
    body = {"input": png(letters()[0][0])}
    other = "f" * 12
    space = post(pair, "/v1/search", body, **{headers.EXPECTED_SPACE: other})
    assert space.status_code == 409
    message = space.json()["error"]["message"]
    assert other in message and pair.model.manifest.space_id in message
    build = post(pair, "/v1/search", body, **{headers.EXPECTED_BUILD: "sha256:2"})
    assert build.status_code == 409 and BUILD in build.json()["error"]["message"]
    right = {
        headers.EXPECTED_SPACE: pair.model.manifest.space_id,
        headers.EXPECTED_BUILD: BUILD,
    }
    assert post(pair, "/v1/search", body, **right).status_code == 200


def test_an_unknown_index_is_404_and_names_those_that_there_are(pair: Pair) -> None:
    response = post(pair, "/v1/search", {"input": png(letters()[0][0]), "index": "nowhere"})
    assert response.status_code == 404
    assert response.json()["error"]["message"].endswith("its indexes are: letters")


PIXELS = [0] * 256
HOSTILE: list[tuple[str, bytes | dict[str, Any], int]] = [
    ("nothing", b"", 400),
    ("no JSON", b"{]", 400),
    ("deep JSON", b'{"input":' + b"[" * 200_000 + b"]" * 200_000 + b"}", 400),
    ("huge", b'{"input": "' + b"A" * 9_000_000 + b'"}', 413),
    ("not a number", b'{"input": [NaN]}', 400),
    ("unknown field", {"input": PIXELS, "inptu": 1}, 422),
    ("no input", {"k": 3}, 422),
    ("no items", {"input": []}, 422),
    ("an object", {"input": {"a": 1}}, 422),
    ("mixed items", {"input": ["aGk=", [1.0]]}, 422),
    ("too deep", {"input": [[[1.0]]]}, 422),
    ("too many items", {"input": ["aGk="] * 257}, 422),
    ("k of zero", {"input": PIXELS, "k": 0}, 422),
    ("k too large", {"input": PIXELS, "k": 1001}, 422),
    ("too few pixels", {"input": [0, 1]}, 422),
    ("a pixel of 256", {"input": [256, *PIXELS[1:]]}, 422),
    ("a pixel of 1e300", {"input": [1e300, *PIXELS[1:]]}, 422),
    ("no base64", {"input": "§§§"}, 422),
    ("no image", {"input": base64.b64encode(b"GIF89a nonsense").decode()}, 422),
    ("wrong size", {"input": png(np.zeros((17, 16), np.uint8))}, 422),
    ("wrong mode", {"input": png(np.zeros((16, 16, 3), np.uint8))}, 422),
    ("bomb", {"input": bomb(60_000)}, 422),
    ("smaller bomb", {"input": bomb(5_000)}, 422),
    ("a lone surrogate", b'{"input": "\\ud800"}', 400),
]


@pytest.mark.parametrize(
    ("body", "status"), [each[1:] for each in HOSTILE], ids=[each[0] for each in HOSTILE]
)
def test_a_hostile_body_gets_a_clear_answer_and_the_server_serves_on(
    body: bytes | dict[str, Any], status: int, pair: Pair
) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = httpx.post(f"{pair.encoder.url}/v1/search", content=content, timeout=30)
    assert answer.status_code == status
    assert answer.headers[headers.SPACE] == pair.model.manifest.space_id
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error" and 5 < len(error["message"]) < 1500
    if status == 422:
        assert error["param"] in ("input", "inptu", "k")
    good = post(pair, "/v1/search", {"input": png(letters()[0][0]), "k": 1})
    assert good.json()["results"][0][0]["id"] == "A0"


@pytest.mark.parametrize("value", ["0", "-1", "soon", "1.5", "9" * 30])
def test_a_deadline_that_is_none_is_refused(value: str, pair: Pair) -> None:
    body = {"input": png(letters()[0][0])}
    assert post(pair, "/v1/search", body, **{headers.DEADLINE: value}).status_code == 400


def test_metrics_name_what_happened(pair: Pair) -> None:
    post(pair, "/v1/embeddings", {"input": png(letters()[0][0])})
    text = httpx.get(f"{pair.encoder.url}/metrics").text
    space = pair.model.manifest.space_id
    assert f'lockstep_encoder_info{{release="letters-r1",space="{space}"}} 1.0' in text
    assert 'lockstep_encoder_requests_total{api="embeddings",code="200"}' in text
    for name in ("batch_items_count", "infer_seconds_count", "queue_depth 0.0", "request_seconds"):
        assert f"lockstep_encoder_{name}" in text
