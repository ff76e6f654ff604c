"""The encoder's architecture."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, model_validator

from lockstep_core.protocol.base import Contract, Sha256, plain_path_rule, rule, validations
from lockstep_core.protocol.storage import StoreRoot


class EncoderKind(StrEnum):
    """Which network: `CNN` reads images, `MLP` images (flattened) and vectors, `CharCNN` the bytes
    of a text, `Transformer` its tokens; `Custom` is the user's own."""

    CNN = "CNN"
    MLP = "MLP"
    CHAR_CNN = "CharCNN"
    TRANSFORMER = "Transformer"
    CUSTOM = "Custom"


class Pooling(StrEnum):
    """From the vectors of tokens to one: `Mean` of all, or that of the first token, `CLS`."""

    MEAN = "Mean"
    CLS = "CLS"


class Overlong(StrEnum):
    """What becomes of a text beyond `maxLength`."""

    REFUSE = "Refuse"
    TRUNCATE = "Truncate"


class BaseSpec(Contract):
    """A model artifact whose weights and tokenizer training begins with."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            plain_path_rule("the root of a store", "file:///artifacts"),
        )
    )

    uri: StoreRoot = Field(
        description="Root of the store that holds it, on the volume or in the bucket of"
        " `artifacts`."
    )
    digest: Sha256 = Field(
        description="The artifact: what `lockstep-train export` printed, or the"
        " `status.training.artifactDigest` of a release of kind Transformer."
    )


def _rising(dimensions: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(dimensions)) < len(dimensions):
        raise ValueError(f"`matryoshkaDimensions` {list(dimensions)} must name each only once")
    return tuple(sorted(dimensions))


_CUTS = "each of `matryoshkaDimensions` must be less than `dimension`"
_READS_TEXT = (EncoderKind.CHAR_CNN, EncoderKind.TRANSFORMER, EncoderKind.CUSTOM)
_TRANSFORMER = "self.kind == 'Transformer'"


class EncoderSpec(Contract):
    """The encoder's architecture."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(
                f"has(self.base) == ({_TRANSFORMER})",
                "`base` must be set with kind Transformer and only with it",
                ".base",
            ),
            rule(
                "has(self.entrypoint) == (self.kind == 'Custom')",
                "`entrypoint` must be set with kind Custom and only with it",
                ".entrypoint",
            ),
            rule(
                f"!has(self.pooling) || {_TRANSFORMER}",
                "`pooling` must not be set without kind Transformer",
                ".pooling",
            ),
            rule(
                f"!has(self.frozenLayers) || {_TRANSFORMER}",
                "`frozenLayers` must not be set without kind Transformer",
                ".frozenLayers",
            ),
            rule(
                "!(has(self.maxLength) || has(self.overlong))"
                " || self.kind in ['CharCNN', 'Transformer', 'Custom']",
                "`maxLength` and `overlong` must not be set for a kind that reads no text",
                ".maxLength",
            ),
            rule(
                "!has(self.matryoshkaDimensions)"
                " || self.matryoshkaDimensions.all(d, d < self.dimension)",
                _CUTS,
                ".matryoshkaDimensions",
            ),
        )
    )

    kind: EncoderKind = Field(
        description="`CNN` (images), `MLP` (images or vectors), `CharCNN` (text, as bytes),"
        " `Transformer` (text, as tokens, from `base`) or `Custom` (of `entrypoint`)."
    )
    dimension: int = Field(
        default=128,
        ge=2,
        le=4096,
        description="Width of the embeddings. A Transformer whose own width is another gets a"
        " linear projection.",
    )
    matryoshka_dimensions: (
        Annotated[
            tuple[Annotated[int, Field(ge=2, le=4095)], ...],
            Field(min_length=1, max_length=8),
            AfterValidator(_rising),
        ]
        | None
    ) = Field(
        default=None,
        description="Prefixes of an embedding that are of use alone, normalised again: the loss is"
        " the mean over them and the whole.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    width: int = Field(
        default=32,
        ge=4,
        le=1024,
        description="Channels of the first convolution (CNN, CharCNN), or units of the hidden"
        " layers (MLP). A Transformer takes its width from `base`.",
    )
    base: BaseSpec | None = Field(
        default=None, description="Weights and tokenizer that a Transformer starts from."
    )
    pooling: Pooling | None = Field(
        default=None,
        description="Of a Transformer: `Mean` of the tokens or the first one, `CLS`. As `base` was"
        " published with, when left out.",
    )
    frozen_layers: int | None = Field(
        default=None,
        ge=1,
        le=128,
        description="Layers of a Transformer that keep the weights of `base`, counted from the"
        " input; its embeddings of tokens do, too. None is frozen when left out.",
    )
    entrypoint: (
        Annotated[
            str,
            StringConstraints(
                pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*$",
                max_length=253,
            ),
        ]
        | None
    ) = Field(
        default=None,
        description="`package.module:factory` in the trainer image. It is called with `shape`,"
        " `width` and `dimension` and returns a torch module.",
    )
    max_length: int | None = Field(
        default=None,
        ge=4,
        le=8192,
        description="Longest text: in bytes of UTF-8 (CharCNN, Custom; 128 when left out), or in"
        " tokens (Transformer; as `base` was published with).",
    )
    overlong: Overlong | None = Field(
        default=None,
        description="What becomes of a longer text, in training and when serving: `Refuse` (also"
        " when left out) names it in an error, `Truncate` cuts its end off.",
    )

    @model_validator(mode="after")
    def _fields_fit_the_kind(self) -> Self:
        """What the CRD says in CEL, which does not run for a config file."""
        required: dict[str, tuple[EncoderKind, Any]] = {
            "base": (EncoderKind.TRANSFORMER, self.base),
            "entrypoint": (EncoderKind.CUSTOM, self.entrypoint),
        }
        for name, (kind, value) in required.items():
            if (value is not None) is not (self.kind is kind):
                raise ValueError(f"`{name}` must be set with kind {kind} and only with it")
        for name, value in (("pooling", self.pooling), ("frozenLayers", self.frozen_layers)):
            if value is not None and self.kind is not EncoderKind.TRANSFORMER:
                raise ValueError(f"`{name}` must not be set without kind Transformer")
        for name, value in (("maxLength", self.max_length), ("overlong", self.overlong)):
            if value is not None and self.kind not in _READS_TEXT:
                raise ValueError(f"`{name}` must not be set for kind {self.kind}: it reads no text")
        if any(cut >= self.dimension for cut in self.matryoshka_dimensions or ()):
            raise ValueError(f"{_CUTS} ({self.dimension})")
        return self
