"""Texts by a transformer that begins with published weights."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from lockstep_core.encoding.errors import SelfCheckError
from lockstep_core.encoding.preprocessing import TEXT, Preprocessing
from lockstep_core.encoding.tokens import TokensPreprocessor, TokensSpec
from lockstep_core.protocol.training import EncoderKind, EncoderSpec
from lockstep_core.protocol.training.encoder import Pooling
from lockstep_trainer.networks.base import Architecture, Network
from lockstep_trainer.networks.bert import Bert, BertConfig, load_bert
from lockstep_trainer.networks.head import load_head
from lockstep_trainer.pretrained.base import CONFIG_FILE, WEIGHTS_FILE, NetworkError, Pretrained
from lockstep_trainer.pretrained.text_inputs import tokens_spec

TRUNK = "trunk."
"""What the names of the trunk's weights begin with in an artifact of ours. A projection that was
trained for other data is left behind."""


class Transformer(Network):
    """Tokens of a text, int64 [B, L] padded with `pad` -> embeddings, float32 [B, dimension].

    Pooled over the tokens that are no padding, or from the first one, and then through the `head`
    that was published with the trunk. A linear projection follows where `dimension` is not their
    own; it begins orthogonal, which keeps distances as well as a projection to so few numbers can.
    """

    def __init__(
        self,
        trunk: Bert,
        config: BertConfig,
        *,
        text: TokensSpec,
        published: Pretrained,
        pooling: Pooling,
        dimension: int,
    ) -> None:
        """Raises NetworkError when the tokenizer and the weights do not belong together."""
        super().__init__()
        try:
            tokens = TokensPreprocessor.parse(text, published.tokenizer)
        except SelfCheckError as error:
            raise NetworkError(f"encoder.base: {error}") from error
        _check_fit(tokens, config)
        self.preprocessing = Preprocessing(TEXT, tokens)
        self.pooling = pooling.value
        self.config = config
        self.tokenizer = published.tokenizer
        self._pad = text.pad_id
        self.trunk = trunk
        self.head = load_head(published.head)
        own = own_width(published, config)
        self.projection = nn.Identity() if dimension == own else nn.Linear(own, dimension)
        if isinstance(self.projection, nn.Linear):
            nn.init.orthogonal_(self.projection.weight)
            nn.init.zeros_(self.projection.bias)

    def freeze(self, layers: int) -> None:
        """The first `layers` and the embeddings of tokens keep their weights.

        Raises NetworkError when there are fewer.
        """
        if layers > (count := len(self.trunk.layers)):
            raise NetworkError(
                f"encoder.frozenLayers is {layers}, but the base has {count} layers: set it to at"
                f" most {count}"
            )
        for part in (self.trunk.embeddings, *self.trunk.layers[:layers]):
            part.requires_grad_(False)

    def forward(self, inputs: Tensor) -> Tensor:
        mask = inputs != self._pad
        hidden = self.trunk(inputs, mask)
        if self.pooling == Pooling.CLS:
            pooled = hidden[:, 0]
        else:
            weights = mask.unsqueeze(2).to(hidden.dtype)
            pooled = (hidden * weights).sum(dim=1) / weights.sum(dim=1)
        return functional.normalize(self.projection(self.head(pooled)), dim=1)


def published_transformer(published: Pretrained) -> Transformer:
    """As it was published, of its own width; raises NetworkError."""
    config = BertConfig.read(published.folder / CONFIG_FILE)
    network = Transformer(
        load_bert(config, published.folder / WEIGHTS_FILE, prefix=TRUNK),
        config,
        text=published.text,
        published=published,
        pooling=published.pooling,
        dimension=own_width(published, config),
    )
    network.architecture = Architecture(
        kind=EncoderKind.TRANSFORMER,
        dimension=own_width(published, config),
        head=published.head.layers or None,
    )
    return network


def build_transformer(spec: EncoderSpec, base: Pretrained) -> Transformer:
    """The weights of `base` with what `spec` asks for; raises NetworkError."""
    config = BertConfig.read(base.folder / CONFIG_FILE)
    network = Transformer(
        load_bert(config, base.folder / WEIGHTS_FILE, prefix=TRUNK),
        config,
        text=tokens_spec(spec, base),
        published=base,
        pooling=spec.pooling or base.pooling,
        dimension=spec.dimension,
    )
    if spec.frozen_layers is not None:
        network.freeze(spec.frozen_layers)
    return network


def own_width(published: Pretrained, config: BertConfig) -> int:
    """Of the embeddings that `published` gives; raises NetworkError when its layers do not fit."""
    try:
        return published.head.width(config.hidden_size)
    except ValueError as error:
        raise NetworkError(f"encoder.base: {error}") from error


def _check_fit(tokens: TokensPreprocessor, config: BertConfig) -> None:
    if tokens.vocabulary > config.vocab_size:
        raise NetworkError(
            f"encoder.base: the tokenizer knows {tokens.vocabulary} tokens, the weights"
            f" {config.vocab_size}: take the tokenizer.json that was published with them"
        )
    if tokens.spec.max_length > config.max_position_embeddings:
        raise NetworkError(
            f"encoder.maxLength is {tokens.spec.max_length}, but the weights know"
            f" {config.max_position_embeddings} positions: set it to at most that"
        )
