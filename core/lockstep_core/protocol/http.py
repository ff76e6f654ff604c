"""HTTP bodies between clients, the encoder and its index servers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Discriminator, Field, StringConstraints, Tag

from lockstep_core.protocol.base import Contract, KindName

MAX_ITEMS = 2048
"""Items of one request for embeddings, as OpenAI's API takes them."""
MAX_QUERIES = 256
"""Queries of one search, at an encoder and at an index server."""
MAX_K = 1000

Text = Annotated[str, StringConstraints(max_length=4 * 1024 * 1024)]
Numbers = Annotated[list[float], Field(fail_fast=True)]


def _form(value: object) -> str:
    """Which form of input it is, by its first element; one that is none fails as what is nearest.

    Left to itself, a union tries each form on each element and keeps every error: 8 MiB of JSON
    would then take half a minute and gigabytes to be refused.
    """
    if not isinstance(value, list):
        return "text"
    first = value[0] if value else None
    return "texts" if isinstance(first, str) else "rows" if isinstance(first, list) else "numbers"


# One item, or a list of items. An item is a string (text, or an image as a data URI or bare base64)
# or a list of numbers (a vector, or a flattened image of raw pixel values).
ItemInput = Annotated[
    Annotated[Text, Tag("text")]
    | Annotated[Numbers, Tag("numbers")]
    | Annotated[list[Text], Field(fail_fast=True, max_length=MAX_ITEMS), Tag("texts")]
    | Annotated[list[Numbers], Field(fail_fast=True, max_length=MAX_ITEMS), Tag("rows")],
    Discriminator(_form),
]


class Request(Contract):
    """A body that a client sends. Strict: `true` and `"3"` are no numbers, though Python and
    pydantic would take them for 1 and 3."""

    model_config = ConfigDict(strict=True)


class EmbeddingsRequest(Request):
    """`POST /v1/embeddings`, OpenAI-compatible."""

    input: ItemInput
    model: str | None = Field(default=None, max_length=253)
    # Clients that leave an option open send null for it.
    encoding_format: Literal["float", "base64"] | None = Field(
        default=None, alias="encoding_format"
    )
    dimensions: int | None = None
    user: str | None = Field(default=None, max_length=253)


class SearchRequest(Request):
    """`POST /v1/search`: embed, then search this release's index."""

    input: ItemInput
    index: KindName | None = None
    k: int = Field(default=10, ge=1, le=MAX_K)


class Neighbour(Contract):
    """One hit: Euclidean distance between L2-normalised embeddings, in [0, 2]."""

    id: str
    label: str
    distance: float


class SearchResponse(Contract):
    """Answers in the order of the request's items, and who gave them."""

    release: str
    space_id: str = Field(alias="spaceID")
    index: str
    index_space_id: str = Field(alias="indexSpaceID")
    build: str
    results: list[list[Neighbour]]


class VectorSearchRequest(Request):
    """`POST /v1/search` of an index server: little-endian float32 rows, base64."""

    vectors: Text
    count: int = Field(ge=1, le=MAX_QUERIES)
    k: int = Field(default=10, ge=1, le=MAX_K)
    exact: bool = False


class VectorSearchResponse(Contract):
    results: list[list[Neighbour]]


class GoldenAnswers(Contract):
    """`GET /v1/golden`: what the build answered to the model's golden inputs when it was sealed.

    `queries` are those inputs as the build embedded them: little-endian float32 rows, base64. An
    index server of before that field does not give them.
    """

    k: int
    queries: str | None = None
    results: list[list[Neighbour]]


class ErrorDetail(Contract):
    """OpenAI's error shape."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorBody(Contract):
    error: ErrorDetail
