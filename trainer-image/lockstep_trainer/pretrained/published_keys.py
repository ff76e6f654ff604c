"""Every file, module and key of a folder that sentence-transformers saves, and what each means.

A key is honoured, has no effect on an embedding, or is taken with certain values alone. What stands
nowhere in this list is refused by its name: it would otherwise be dropped without a word, and the
embeddings would silently not be the model's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lockstep_trainer.pretrained.base import CONFIG_FILE, NetworkError


class FolderRefused(NetworkError):
    """A published folder says something that cannot be honoured; the message names it."""


@dataclass(frozen=True)
class Rule:
    """`values` are all that is taken, None any; `why` is told with another value."""

    values: tuple[Any, ...] | None = None
    why: str = ""


HONOURED = Rule()
NO_EFFECT = Rule()


def only(*values: Any, why: str) -> Rule:
    return Rule(values, why)


MODULES_FILE = "modules.json"
MODEL_FILE = "config_sentence_transformers.json"
TRANSFORMER_FILES = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
"""The first one that is there counts."""
TOKENIZER_CONFIG_FILE = "tokenizer_config.json"

REFUSED_FILES = {
    "adapter_config.json": "the weights of an adapter are not added: merge it into the model and"
    " save that",
    "router_config.json": "queries and documents would go through different modules",
}

MODULES: Mapping[str, str | None] = {
    "Transformer": None,
    "Pooling": None,
    "Dense": None,
    "Normalize": None,
    "LayerNorm": None,
    "Dropout": None,
    "Asym": "queries and documents would go through different modules",
    "BoW": "it needs no transformer",
    "CLIPModel": "it reads images, too",
    "CNN": "it changes the vectors of the tokens before they are pooled",
    "LSTM": "it changes the vectors of the tokens before they are pooled",
    "Router": "queries and documents would go through different modules",
    "StaticEmbedding": "it needs no transformer",
    "WeightedLayerPooling": "it mixes the layers of the transformer",
    "WordEmbeddings": "it needs no transformer",
    "WordWeights": "it weighs the tokens before they are pooled",
}
"""Modules by the last part of their `type`, and why one is refused."""

_TEXT_ONLY = {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}
_ONE_PATH = "queries and documents are read in one way here"
_NAMES = "each module reads and writes the embedding of the text here"
_SENTENCE = only("sentence_embedding", None, why=_NAMES)
_NO_KWARGS = only({}, None, why="the model is loaded without arguments of its own")

KEYS: Mapping[str, Mapping[str, Rule]] = {
    MODULES_FILE: {
        "idx": NO_EFFECT,
        "name": NO_EFFECT,
        "path": HONOURED,
        "type": HONOURED,
        "kwargs": only([], None, why="no argument is passed to a module with each text"),
    },
    MODEL_FILE: {
        "__version__": NO_EFFECT,
        "model_type": only("SentenceTransformer", why="its output is not one vector a text"),
        "prompts": HONOURED,
        "default_prompt_name": HONOURED,
        "similarity_fn_name": HONOURED,
        "truncate_dim": only(
            None, why="name the width in encoder.matryoshkaDimensions of a training instead"
        ),
    },
    TRANSFORMER_FILES[0]: {
        "max_seq_length": HONOURED,
        "do_lower_case": HONOURED,
        "transformer_task": only("feature-extraction", why="hidden states are pooled here"),
        "modality_config": only(_TEXT_ONLY, why="texts alone are read, by their last hidden state"),
        "module_output_name": only("token_embeddings", why="hidden states are pooled here"),
        "processing_kwargs": _NO_KWARGS,
        "unpad_inputs": NO_EFFECT,
        "query_length": only(None, why=_ONE_PATH),
        "document_length": only(None, why=_ONE_PATH),
        "query_expansion": only(None, why=_ONE_PATH),
        "tokenizer_name_or_path": only(None, why="the tokenizer is that of the folder"),
        "model_args": _NO_KWARGS,
        "model_kwargs": _NO_KWARGS,
        "tokenizer_args": _NO_KWARGS,
        "processor_kwargs": _NO_KWARGS,
        "config_args": _NO_KWARGS,
        "config_kwargs": _NO_KWARGS,
    },
    "Pooling": {
        "word_embedding_dimension": NO_EFFECT,
        "embedding_dimension": NO_EFFECT,
        "pooling_mode": HONOURED,
        "pooling_mode_cls_token": HONOURED,
        "pooling_mode_mean_tokens": HONOURED,
        "pooling_mode_mean_sqrt_len_tokens": HONOURED,
        "pooling_mode_max_tokens": HONOURED,
        "pooling_mode_weightedmean_tokens": HONOURED,
        "pooling_mode_lasttoken": HONOURED,
        "include_prompt": HONOURED,
    },
    "Dense": {
        "in_features": HONOURED,
        "out_features": HONOURED,
        "bias": HONOURED,
        "activation_function": HONOURED,
        "use_residual": HONOURED,
        "module_input_name": _SENTENCE,
        "module_output_name": _SENTENCE,
    },
    "Normalize": {"module_input_name": _SENTENCE, "module_output_name": _SENTENCE},
    "LayerNorm": {"dimension": HONOURED},
    "Dropout": {"dropout": NO_EFFECT},
    TOKENIZER_CONFIG_FILE: {
        **dict.fromkeys(
            ("tokenizer_class", "do_lower_case", "strip_accents", "tokenize_chinese_chars",
             "model_max_length", "max_len", "added_tokens_decoder", "additional_special_tokens",
             "extra_special_tokens", "bos_token", "cls_token", "eos_token", "mask_token",
             "pad_token", "sep_token", "unk_token"), HONOURED,
        ),
        # Of other calls than the one that embeds, of other tokenizers, and where it came from.
        **dict.fromkeys(
            ("backend", "cache_dir", "chat_template", "clean_up_tokenization_spaces", "errors",
             "from_slow", "full_tokenizer_file", "init_inputs", "is_local", "legacy",
             "local_files_only", "max_length", "model_input_names", "name_or_path",
             "pad_to_multiple_of", "pad_token_type_id", "processor_class",
             "revision", "special_tokens_map_file", "split_special_tokens", "stride", "subfolder",
             "token", "tokenizer_file", "transformers_version", "truncation_strategy",
             "trust_remote_code", "use_auth_token", "use_fast", "vocab_file"), NO_EFFECT,
        ),
        "auto_map": only(None, why="code that comes with a model is not run"),
        "add_bos_token": only(None, why="the tokens around a text are those of tokenizer.json"),
        "add_eos_token": only(None, why="the tokens around a text are those of tokenizer.json"),
        "add_prefix_space": only(False, None, why="tokenizer.json says how a text begins"),
        "do_basic_tokenize": only(True, None, why="tokenizer.json splits a text first"),
        "never_split": only([], None, why="tokenizer.json splits every word"),
        "padding_side": only("right", None, why="positions are counted from the first token"),
        "truncation_side": only("right", None, why="`overlong: Truncate` cuts the end off"),
    },
    # What else stands there, the library's own BERT does not read either.
    CONFIG_FILE: {
        "model_type": only(
            "bert", why="encoders of the BERT architecture can be read; for others use"
            " encoder.kind Custom"
        ),
        "hidden_act": only("gelu", why="no other activation is built"),
        "position_embedding_type": only("absolute", None, why="no other positions are built"),
        "is_decoder": only(False, None, why="each token sees the whole text here"),
        "add_cross_attention": only(False, None, why="there is no second text to see"),
        "pruned_heads": only({}, None, why="no head is left out"),
        "quantization_config": only(None, why="weights are read as floating-point numbers"),
        "auto_map": only(None, why="code that comes with a model is not run"),
    },
}  # fmt: skip
"""By file, and by module for the `config.json` of each."""


def check_keys(content: Mapping[str, Any], rules: str, *, file: str, others: bool = False) -> None:
    """Raises FolderRefused for a key of `file` that is not honoured as `KEYS[rules]` says.

    With `others`, keys that are not listed have no effect.
    """
    for key, value in content.items():
        rule = KEYS[rules].get(key)
        if rule is None:
            if others:
                continue
            raise FolderRefused(
                f"{file}: `{key}` is not known to this version, and might change the embeddings:"
                f" take it out of {file} if it does not"
            )
        if rule.values is not None and not any(_equal(value, each) for each in rule.values):
            raise FolderRefused(f"{file}: `{key}` is {value!r}, which is not honoured: {rule.why}")


def _equal(one: Any, other: Any) -> bool:
    """As JSON: 0 is not false."""
    return type(one) is type(other) and bool(one == other)
