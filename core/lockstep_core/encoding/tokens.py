"""A text as the tokens of a `tokenizer.json` (Hugging Face `tokenizers`)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from tokenizers import Tokenizer

from lockstep_core.encoding.bytes_text import check_text, overlong
from lockstep_core.encoding.errors import EncodingError, SelfCheckError
from lockstep_core.encoding.ragged import Ragged
from lockstep_core.protocol.base import Contract
from lockstep_core.protocol.training.encoder import Overlong

TOKENIZER_FILE = "tokenizer.json"
TEXTS_AT_ONCE = 1024


class TokensSpec(Contract):
    """Token numbers of the text with the tokenizer's own special tokens, int64 [B, L] padded with
    `padID`. The graph takes what is not `padID` for the text, so no text may yield that token."""

    kind: Literal["Tokens"] = "Tokens"
    pad_id: Annotated[int, Field(ge=0, alias="padID")]
    max_length: Annotated[int, Field(ge=1, le=65536)]
    overlong: Overlong = Overlong.REFUSE
    prompt: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    """Put before each text, as the model was published to be used; its tokens count as well."""


class TokensPreprocessor:
    """See `TokensSpec`. Raises EncodingError, naming the item."""

    unit = "tokens"

    def __init__(self, spec: TokensSpec, tokenizer: Tokenizer) -> None:
        """Raises SelfCheckError when this tokenizer cannot serve `spec`."""
        self.spec = spec
        self.pad = spec.pad_id
        self._tokenizer = tokenizer
        tokenizer.no_padding()
        tokenizer.no_truncation()
        # A text that spells [PAD] or [SEP] is text: a user must not steer the encoder by it.
        tokenizer.encode_special_tokens = True
        around = tokenizer.encode("").ids
        before = tokenizer.encode(spec.prompt or "").ids
        if spec.pad_id in around:
            raise SelfCheckError(
                f"{TOKENIZER_FILE} puts token {spec.pad_id} around each text, but it is `padID`:"
                " choose a token that stands for nothing else"
            )
        if len(before) >= spec.max_length:
            kind = "special tokens" if spec.prompt is None else "tokens (the prompt among them)"
            raise SelfCheckError(
                f"`maxLength` is {spec.max_length}, but {TOKENIZER_FILE} puts {len(before)} {kind}"
                " around each text: no room is left for it"
            )
        if spec.overlong is Overlong.TRUNCATE:
            tokenizer.enable_truncation(spec.max_length)
        # Threads are those of the pod's share, which the library knows nothing of.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

    @property
    def vocabulary(self) -> int:
        """Tokens that it may give: 1 more than the largest number."""
        return max(self._tokenizer.get_vocab(with_added_tokens=True).values(), default=-1) + 1

    @classmethod
    def load(cls, spec: TokensSpec, file: Path) -> TokensPreprocessor:
        """Raises SelfCheckError for a file that is no tokenizer."""
        try:
            data = file.read_bytes()
        except OSError as error:
            raise SelfCheckError(f"{file.name} cannot be loaded: {error}") from error
        return cls.parse(spec, data)

    @classmethod
    def parse(cls, spec: TokensSpec, data: bytes) -> TokensPreprocessor:
        """From the bytes of a tokenizer.json; raises SelfCheckError for others."""
        try:
            tokenizer = Tokenizer.from_buffer(data)
        # The library raises bare Exception.
        except Exception as error:
            raise SelfCheckError(
                f"{TOKENIZER_FILE} cannot be loaded: {str(error)[:300]}"
            ) from error
        return cls(spec, tokenizer)

    def prepare(self, texts: Iterable[str]) -> Ragged:
        return Ragged.of(self._rows(texts), stored=np.int32, pad=self.pad, given=np.int64)

    def _rows(self, texts: Iterable[str]) -> Iterator[list[int]]:
        item = 0
        for block in _blocks(texts):
            for at, text in enumerate(block):
                check_text(text, item + at)
            if self.spec.prompt is not None:
                block = [self.spec.prompt + text for text in block]
            for encoding in self._tokenizer.encode_batch_fast(block):
                ids: list[int] = encoding.ids
                if len(ids) > self.spec.max_length:
                    raise overlong(len(ids), self.spec.max_length, self.unit, item)
                if self.pad in ids:
                    raise EncodingError("holds the token that pads", item=item)
                yield ids
                item += 1


def _blocks(texts: Iterable[str]) -> Iterator[list[str]]:
    block: list[str] = []
    for text in texts:
        block.append(text)
        if len(block) == TEXTS_AT_ONCE:
            yield block
            block = []
    if block:
        yield block
