"""How the encoder of a spec reads texts, and which texts it would not take. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence

from lockstep_core.datasets.dataset import is_text
from lockstep_core.datasets.problems import DatasetError, Problem, problem
from lockstep_core.encoding import EncodingError, Preprocessing, Raw
from lockstep_core.encoding.bytes_text import DEFAULT_MAX_LENGTH, BytesPreprocessor, BytesSpec
from lockstep_core.encoding.errors import SelfCheckError
from lockstep_core.encoding.preprocessing import TEXT
from lockstep_core.encoding.tokens import TokensPreprocessor, TokensSpec
from lockstep_core.protocol.training import EncoderKind, EncoderSpec
from lockstep_core.protocol.training.encoder import Overlong
from lockstep_trainer.pretrained.base import NetworkError, Pretrained

READS = {
    EncoderKind.CNN: (2, 3),
    EncoderKind.MLP: (1, 2, 3),
    EncoderKind.CHAR_CNN: (0,),
    EncoderKind.TRANSFORMER: (0,),
    EncoderKind.CUSTOM: (0, 1, 2, 3),
}
"""Axes of an item that each kind reads: an image has 2 or 3, a vector 1, a text none."""


def check_reads(kind: EncoderKind, shape: Sequence[int]) -> None:
    """Raises NetworkError unless such an encoder reads items of `shape` (a text's is empty)."""
    if len(shape) not in READS[kind]:
        raise NetworkError(_does_not_read(kind, tuple(shape)))


def _does_not_read(kind: EncoderKind, shape: tuple[int, ...]) -> str:
    if not shape:
        return (
            f"encoder.kind {kind} reads no text, but the items are texts; use encoder.kind CharCNN"
            " or Transformer"
        )
    if kind in (EncoderKind.CHAR_CNN, EncoderKind.TRANSFORMER):
        return (
            f"encoder.kind {kind} reads texts, but items have the shape {shape}; use encoder.kind"
            f" {'MLP for vectors' if len(shape) == 1 else 'CNN for images'}"
        )
    return (
        f"encoder.kind {kind} reads images [H, W] or [H, W, C], but items have the shape {shape};"
        " use encoder.kind MLP for vectors"
    )


def bytes_spec(spec: EncoderSpec) -> BytesSpec:
    """For CharCNN and Custom."""
    return BytesSpec(
        max_length=spec.max_length or DEFAULT_MAX_LENGTH,
        overlong=spec.overlong or Overlong.REFUSE,
    )


def tokens_spec(spec: EncoderSpec, base: Pretrained) -> TokensSpec:
    """For a Transformer: as `base` was published, but for what `spec` says."""
    asked = {"max_length": spec.max_length, "overlong": spec.overlong}
    return base.text.replace(**{k: v for k, v in asked.items() if v is not None})


def text_preprocessing(spec: EncoderSpec, base: Pretrained | None) -> Preprocessing:
    """Raises NetworkError when the tokenizer of `base` cannot serve `spec`."""
    if base is None:
        return Preprocessing(TEXT, BytesPreprocessor(bytes_spec(spec)))
    try:
        tokens = TokensPreprocessor.parse(tokens_spec(spec, base), base.tokenizer)
    except SelfCheckError as error:
        raise NetworkError(f"encoder.base: {error}") from error
    return Preprocessing(TEXT, tokens)


def text_problems(preprocessing: Preprocessing, texts: Raw) -> list[Problem]:
    """All texts that the encoder would refuse, as one problem; none for other items."""
    if not is_text(texts):
        return []
    try:
        preprocessing.prepare(texts)
    except EncodingError:
        refused = [
            f"row {row} {error.reason}"
            for row in range(len(texts))
            if (error := _refusal(preprocessing, texts[row : row + 1])) is not None
        ]
        fix = "shorten or remove them, set encoder.overlong: Truncate or a larger encoder.maxLength"
        return [problem("texts that the encoder does not take", refused, fix)]
    return []


def check_texts(preprocessing: Preprocessing, texts: Raw) -> None:
    """Raises DatasetError, see `text_problems`."""
    if problems := text_problems(preprocessing, texts):
        raise DatasetError(problems)


def _refusal(preprocessing: Preprocessing, text: Raw) -> EncodingError | None:
    try:
        preprocessing.prepare(text)
    except EncodingError as error:
        return error
    return None
