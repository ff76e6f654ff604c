"""BERT (Devlin et al., arXiv 1810.04805) as it is published: module names are those of Hugging
Face's weights, so a `model.safetensors` loads as it stands.

No dropout: the few epochs of a fine-tuning overfit less than they suffer from noise in the
distances, and a batch that is embedded in chunks must give what it gives as a whole.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from lockstep_trainer.pretrained.base import CONFIG_FILE, NetworkError

# Layers of published weights that turn the first token into a class: an embedding has no use for
# them. Position numbers are counted here.
UNUSED = ("pooler.", "cls.", "embeddings.position_ids", "embeddings.token_type_ids")
# Weights that were converted from TensorFlow keep its names.
_RENAMED = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}


class BertConfig(BaseModel):
    """`config.json` of Hugging Face, as far as the network follows from it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    model_type: Literal["bert"]
    hidden_act: Literal["gelu"] = "gelu"
    position_embedding_type: Literal["absolute"] = "absolute"
    vocab_size: int = Field(ge=1, le=2_000_000)
    hidden_size: int = Field(ge=1, le=8192)
    num_hidden_layers: int = Field(ge=1, le=128)
    num_attention_heads: int = Field(ge=1, le=256)
    intermediate_size: int = Field(ge=1, le=65536)
    max_position_embeddings: int = Field(ge=1, le=65536)
    type_vocab_size: int = Field(default=2, ge=1, le=64)
    layer_norm_eps: float = Field(default=1e-12, gt=0)
    pad_token_id: int | None = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> Self:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is no multiple of num_attention_heads"
                f" {self.num_attention_heads}"
            )
        return self

    @classmethod
    def read(cls, file: Path) -> BertConfig:
        """Raises NetworkError that names the field."""
        try:
            return cls.model_validate_json(file.read_bytes())
        except OSError as error:
            raise NetworkError(f"encoder.base: {file.name} cannot be read: {error}") from error
        except ValidationError as error:
            wrong = error.errors(include_url=False)[0]
            where = ".".join(map(str, wrong["loc"])) or "it"
            raise NetworkError(
                f"encoder.base: {file.name}: {where}: {wrong['msg']}. Encoders of the BERT"
                " architecture can be read; for others use encoder.kind Custom"
            ) from error


class Bert(nn.Module):
    """Tokens int64 [B, L] and their mask bool [B, L] -> hidden states float32 [B, L, hidden]."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.embeddings = _Embeddings(config)
        self.encoder = nn.ModuleDict(
            {"layer": nn.ModuleList(_Layer(config) for _ in range(config.num_hidden_layers))}
        )

    @property
    def layers(self) -> list[nn.Module]:
        return list(self.encoder["layer"].children())

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        hidden: Tensor = self.embeddings(tokens)
        # [B, 1, 1, L]: the same places are hidden from every head and every asking token.
        seen = mask[:, None, None, :]
        for layer in self.layers:
            hidden = layer(hidden, seen)
        return hidden


def load_bert(config: BertConfig, file: Path, *, prefix: str) -> Bert:
    """A network with the weights of a safetensors file; raises NetworkError when they do not fit.

    Where names begin with `prefix`, the others are left alone. Weights of half precision become
    float32.
    """
    try:
        stored = load_file(file)
    except (OSError, SafetensorError) as error:
        raise NetworkError(f"encoder.base: {file.name} cannot be read: {error}") from error
    if any(name.startswith(prefix) for name in stored):
        stored = {name: weight for name, weight in stored.items() if name.startswith(prefix)}
    weights = {
        _named(name.removeprefix(prefix).removeprefix("bert.")): weight.float()
        for name, weight in stored.items()
    }
    weights = {name: weight for name, weight in weights.items() if not name.startswith(UNUSED)}
    with torch.device("meta"):
        network = Bert(config)
    wanted = {name: tuple(weight.shape) for name, weight in network.state_dict().items()}
    given = {name: tuple(weight.shape) for name, weight in weights.items()}
    if wrong := sorted(f"{n} {s}" for n, s in wanted.items() ^ given.items()):
        raise NetworkError(
            f"encoder.base: {file.name} does not hold the weights that {CONFIG_FILE} describes:"
            f" {len(wrong)} differ, e.g. {', '.join(wrong[:4])}"
        )
    network.load_state_dict(weights, assign=True)
    return network


def _named(name: str) -> str:
    for old, new in _RENAMED.items():
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name


class _Embeddings(nn.Module):
    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, size)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, size)
        self.LayerNorm = nn.LayerNorm(size, eps=config.layer_norm_eps)

    def forward(self, tokens: Tensor) -> Tensor:
        places = torch.arange(tokens.shape[1], device=tokens.device)
        hidden = (
            self.word_embeddings(tokens)
            + self.token_type_embeddings.weight[0]
            + self.position_embeddings(places)
        )
        normed: Tensor = self.LayerNorm(hidden)
        return normed


class _Layer(nn.Module):
    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        size, inner, eps = config.hidden_size, config.intermediate_size, config.layer_norm_eps
        self.attention = _Attention(size, config.num_attention_heads, eps)
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(size, inner)})
        self.output = _Output(inner, size, eps)

    def forward(self, hidden: Tensor, seen: Tensor) -> Tensor:
        hidden = self.attention(hidden, seen)
        inner = functional.gelu(self.intermediate["dense"](hidden))
        added: Tensor = self.output(inner, hidden)
        return added


class _Attention(nn.Module):
    def __init__(self, size: int, heads: int, eps: float) -> None:
        super().__init__()
        self._heads = (heads, size // heads)
        names = ("query", "key", "value")
        # A name of the published weights that an attribute cannot have.
        self.add_module("self", nn.ModuleDict({name: nn.Linear(size, size) for name in names}))
        self.output = _Output(size, size, eps)

    def forward(self, hidden: Tensor, seen: Tensor) -> Tensor:
        ask = self.get_submodule("self").children()
        query, key, value = (self._split(linear(hidden)) for linear in ask)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        added: Tensor = self.output(mixed.transpose(1, 2).flatten(2), hidden)
        return added

    def _split(self, hidden: Tensor) -> Tensor:
        """[B, L, size] -> [B, heads, L, size / heads]"""
        return hidden.reshape(*hidden.shape[:2], *self._heads).transpose(1, 2)


class _Output(nn.Module):
    """A linear layer, added to what came before it, and normalised."""

    def __init__(self, size: int, wider: int, eps: float) -> None:
        super().__init__()
        self.dense = nn.Linear(size, wider)
        self.LayerNorm = nn.LayerNorm(wider, eps=eps)

    def forward(self, hidden: Tensor, before: Tensor) -> Tensor:
        normed: Tensor = self.LayerNorm(self.dense(hidden) + before)
        return normed
