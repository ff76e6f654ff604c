"""From raw items to what the graph takes, as `preprocess.json` of the artifact describes it.

Images and vectors go in as they are: all that happens to their numbers is inside of the graph, and
which pixels of a PNG or JPEG they are is `pixels` of the input. A text has to become numbers first,
and those of another tokenizer would be nonsense without an error, so this file's digest is part of
the space.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Protocol, cast

import numpy as np
from pydantic import Field, ValidationError

from lockstep_core.artifacts import InputKind, InputSpec, ModelManifest, Role, sha256_bytes
from lockstep_core.datasets.dataset import Inputs, is_text
from lockstep_core.encoding.bytes_text import BytesPreprocessor, BytesSpec
from lockstep_core.encoding.errors import EncodingError, SelfCheckError
from lockstep_core.encoding.ragged import Prepared, Ragged
from lockstep_core.encoding.tokens import TOKENIZER_FILE, TokensPreprocessor, TokensSpec

PREPROCESS_FILE = "preprocess.json"

Raw = Inputs
"""Items as a data set holds them: images, vectors or texts."""

TEXT = InputSpec(kind=InputKind.TEXT, shape=(), dtype="text")
_TENSORS = {"Bytes": "uint8", "Tokens": "int64"}


class TextContract(InputSpec):
    """`preprocess.json` of an encoder of texts. For other items it is the `InputSpec` alone."""

    preprocessor: Annotated[BytesSpec | TokensSpec, Field(discriminator="kind")]


class TextPreprocessor(Protocol):
    """A text to its units. `pad` is no unit of any text."""

    @property
    def spec(self) -> BytesSpec | TokensSpec: ...
    @property
    def pad(self) -> int: ...
    def prepare(self, texts: Iterable[str]) -> Ragged:
        """Raises EncodingError, naming the item that cannot be taken."""
        ...


class Preprocessing:
    """One encoder's way from raw items to the graph's input."""

    def __init__(self, input: InputSpec, text: TextPreprocessor | None = None) -> None:
        if (input.kind is InputKind.TEXT) is not (text is not None):
            raise ValueError("texts, and nothing but texts, take a preprocessor")
        self.input, self.text = input, text

    @property
    def tensor(self) -> tuple[str, tuple[int | None, ...]]:
        """Dtype and shape, without the batch axis, of the graph's input; None is a free axis."""
        if self.text is None:
            return self.input.dtype, self.input.shape
        return _TENSORS[self.text.spec.kind], (None,)

    def prepare(self, items: Raw) -> Prepared:
        """What the graph takes, by rows: an array as it is, texts as `Ragged`.

        Raises EncodingError for items of another shape or dtype, and for a text that cannot be
        taken (empty, too long), which it names.
        """
        if self.text is not None:
            if not is_text(items):
                raise EncodingError(f"items are {items.dtype}, but this encoder takes text")
            return self.text.prepare(items.tolist())
        if is_text(items):
            raise EncodingError(f"items are text, but this encoder takes {self._form()}")
        if items.dtype != np.dtype(self.input.dtype) or items.shape[1:] != self.input.shape:
            form = f"{items.dtype} {list(items.shape[1:])}"
            raise EncodingError(f"items are {form}, but this encoder takes {self._form()}")
        return cast(Prepared, items)

    def _form(self) -> str:
        return f"{self.input.dtype} {list(self.input.shape)}"

    def contract(self) -> bytes:
        """The bytes of `preprocess.json`: canonical JSON."""
        wire = self.input.to_wire()
        if self.text is not None:
            wire |= {"preprocessor": self.text.spec.to_wire()}
        return json.dumps(wire, sort_keys=True, separators=(",", ":")).encode()


def load_preprocessing(directory: Path, manifest: ModelManifest) -> Preprocessing:
    """As `preprocess.json` says; the file is read for texts alone.

    Raises SelfCheckError when it is not the one that the space was named by, or cannot be honoured.
    """
    if manifest.input.kind is not InputKind.TEXT:
        return _of_arrays(manifest)
    contract = _read_contract(directory, manifest)
    if isinstance(contract.preprocessor, BytesSpec):
        return Preprocessing(manifest.input, BytesPreprocessor(contract.preprocessor))
    _check_serving(manifest, TOKENIZER_FILE)
    tokens = TokensPreprocessor.load(contract.preprocessor, directory / TOKENIZER_FILE)
    return Preprocessing(manifest.input, tokens)


def _of_arrays(manifest: ModelManifest) -> Preprocessing:
    preprocessing = Preprocessing(manifest.input)
    digest = sha256_bytes(preprocessing.contract())
    # Older manifests say nothing of how images are read, and may be of any exporter.
    if manifest.input.pixels is not None and digest != manifest.preprocessing_digest:
        raise SelfCheckError(
            f"`input` of the manifest is {digest} as {PREPROCESS_FILE}, but the space was named by"
            f" {manifest.preprocessing_digest}: images would be read in another way"
        )
    return preprocessing


def _read_contract(directory: Path, manifest: ModelManifest) -> TextContract:
    _check_serving(manifest, PREPROCESS_FILE)
    try:
        data = (directory / PREPROCESS_FILE).read_bytes()
        contract = TextContract.model_validate_json(data)
    except OSError as error:
        raise SelfCheckError(f"{PREPROCESS_FILE} cannot be read: {error}") from error
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        where = ".".join(map(str, wrong["loc"])) or PREPROCESS_FILE
        raise SelfCheckError(f"{PREPROCESS_FILE}: {where}: {wrong['msg']}") from error
    if sha256_bytes(data) != manifest.preprocessing_digest:
        raise SelfCheckError(
            f"{PREPROCESS_FILE} is {sha256_bytes(data)}, but the space was named by"
            f" {manifest.preprocessing_digest}: texts would be prepared in another way"
        )
    return contract


def _check_serving(manifest: ModelManifest, name: str) -> None:
    """Outside of the files that serving loads, a change would leave the space's name as it is."""
    roles: dict[str, Any] = {entry.path: entry.role for entry in manifest.files}
    if roles.get(name) is not Role.SERVING:
        raise SelfCheckError(f"{name} must be a file of role Serving of an artifact of this input")
