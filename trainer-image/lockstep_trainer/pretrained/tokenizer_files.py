"""The tokenizer of a published folder, as `transformers` loads it.

`tokenizer.json` does not say all of it: the library rebuilds the tokenizer of a BERT by the flags
of `tokenizer_config.json`, whatever normalizer was saved (seen in transformers 5.24).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from lockstep_core.encoding.tokens import TOKENIZER_FILE
from lockstep_trainer.pretrained.base import CONFIG_FILE, NetworkError
from lockstep_trainer.pretrained.published_keys import (
    TOKENIZER_CONFIG_FILE,
    FolderRefused,
    check_keys,
)
from lockstep_trainer.pretrained.reading import read_object

_BERT = ("BertTokenizer", "BertTokenizerFast")
_AS_SAVED = ("PreTrainedTokenizerFast", "TokenizersBackend")
_MARKS = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}
_FLAGS = ("special", "single_word", "lstrip", "rstrip", "normalized")


@dataclass(frozen=True)
class PublishedTokenizer:
    """`data` is a tokenizer.json that needs no other file; `max_length` in tokens, if any file
    says it."""

    data: bytes
    pad_id: int
    max_length: int | None

    def reads_marks(self, text: str) -> bool:
        """Whether the library reads a part of `text` as one of the tokenizer's special tokens."""
        tokenizer = _parse(self.data)
        tokenizer.encode_special_tokens = False
        read: list[int] = tokenizer.encode(text).ids
        tokenizer.encode_special_tokens = True
        return read != tokenizer.encode(text).ids


def read_tokenizer(folder: Path, *, lower_case: bool) -> PublishedTokenizer:
    """With `lower_case`, texts become lower case before all else, as
    sentence-transformers does by `do_lower_case`. Raises NetworkError."""
    config = read_object(folder / TOKENIZER_CONFIG_FILE)
    check_keys(config, TOKENIZER_CONFIG_FILE, file=TOKENIZER_CONFIG_FILE)
    saved = (folder / TOKENIZER_FILE).read_bytes()
    # Parsed before anything is asked of it: what is no tokenizer ends here.
    tokenizer = _parse(saved)
    document: dict[str, Any] = json.loads(saved)
    network = read_object(folder / CONFIG_FILE)
    kind = config.get("tokenizer_class") or network.get("tokenizer_class") or _BERT[0]
    _check_added(folder, config, document)
    before = json.dumps(document)
    if kind in _BERT:
        _rebuild_bert(document, config, tokenizer)
    elif kind not in _AS_SAVED:
        raise FolderRefused(
            f"{TOKENIZER_CONFIG_FILE}: `tokenizer_class` is {kind!r}, which is not honoured:"
            f" {', '.join((*_BERT, *_AS_SAVED))} are"
        )
    if lower_case:
        _lower_first(document)
    changed = json.dumps(document) != before
    data = json.dumps(document, ensure_ascii=False).encode() if changed else saved
    if any(_parse(data).encode("a").type_ids):
        raise FolderRefused(
            f"{TOKENIZER_FILE}: `post_processor` gives a text another type than 0: not honoured"
        )
    pad = _pad(folder, config, network, tokenizer, bert=kind in _BERT)
    return PublishedTokenizer(data, pad, _max_length(config))


def _parse(data: bytes) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_buffer(data)
    # The library raises bare Exception.
    except Exception as error:
        raise NetworkError(f"{TOKENIZER_FILE} cannot be loaded: {str(error)[:300]}") from error
    # Both are set anew with each text.
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _rebuild_bert(document: dict[str, Any], config: dict[str, Any], tokenizer: Tokenizer) -> None:
    """Gives `document` the normalizer that the flags ask for.

    Raises FolderRefused where the rest is another tokenizer than the library would build.
    """
    normalizer, model = document.get("normalizer") or {}, document.get("model") or {}
    marks = {name: _text(config.get(name)) or default for name, default in _MARKS.items()}
    around = [tokenizer.token_to_id(marks[name]) for name in ("cls_token", "sep_token")]
    expected = {
        "normalizer.type": (normalizer.get("type"), "BertNormalizer"),
        "normalizer.clean_text": (normalizer.get("clean_text"), True),
        "pre_tokenizer.type": ((document.get("pre_tokenizer") or {}).get("type"),
                               "BertPreTokenizer"),
        "model.type": (model.get("type", "WordPiece"), "WordPiece"),
        "model.unk_token": (model.get("unk_token"), marks["unk_token"]),
        "model.continuing_subword_prefix": (model.get("continuing_subword_prefix", "##"), "##"),
        "model.max_input_chars_per_word": (model.get("max_input_chars_per_word", 100), 100),
        "post_processor": (tokenizer.encode("").ids, around),
    }  # fmt: skip
    for name, (actual, wanted) in expected.items():
        if actual != wanted:
            raise FolderRefused(
                f"{TOKENIZER_FILE}: `{name}` is {actual!r}, but a BertTokenizer (`tokenizer_class`"
                f" of {TOKENIZER_CONFIG_FILE}) has {wanted!r}, and the library reads texts by that:"
                " say PreTrainedTokenizerFast there if the file is right"
            )
    document["normalizer"] = normalizer | {
        "lowercase": _flag(config, "do_lower_case", True),
        "strip_accents": _flag(config, "strip_accents", None),
        "handle_chinese_chars": _flag(config, "tokenize_chinese_chars", True),
    }


def _flag(config: dict[str, Any], name: str, default: bool | None) -> bool | None:
    value = config.get(name, default)
    if not isinstance(value, bool) and value is not default:
        raise NetworkError(f"{TOKENIZER_CONFIG_FILE}: {name} is {value!r}, not true or false")
    return value


def _lower_first(document: dict[str, Any]) -> None:
    now = document.get("normalizer")
    steps = now["normalizers"] if now and now["type"] == "Sequence" else [now] if now else []
    if not any(step["type"] == "Lowercase" for step in steps):
        lower = {"type": "Lowercase"}
        document["normalizer"] = {"type": "Sequence", "normalizers": [lower, *steps]}


def _check_added(folder: Path, config: dict[str, Any], document: dict[str, Any]) -> None:
    """Raises FolderRefused for a token that another file adds to those of tokenizer.json."""
    known = {token["content"]: token for token in document.get("added_tokens") or ()}
    vocabulary = (document.get("model") or {}).get("vocab")
    words = vocabulary if isinstance(vocabulary, dict) else {}
    decoder = config.get("added_tokens_decoder") or {}
    if not isinstance(decoder, dict) or not all(isinstance(t, dict) for t in decoder.values()):
        raise NetworkError(f"{TOKENIZER_CONFIG_FILE}: added_tokens_decoder holds no tokens")
    for number, token in decoder.items():
        mine = known.get(_text(token) or "", {})
        same = all(mine.get(flag) == token.get(flag, mine.get(flag)) for flag in _FLAGS)
        if str(mine.get("id")) != str(number) or not same:
            raise _adds(TOKENIZER_CONFIG_FILE, "added_tokens_decoder", token)
    for key in ("additional_special_tokens", "extra_special_tokens"):
        tokens = config.get(key) or []
        if not isinstance(tokens, dict | list):
            raise NetworkError(
                f"{TOKENIZER_CONFIG_FILE}: {key} is {tokens!r}, not a list of tokens"
            )
        for token in tokens.values() if isinstance(tokens, dict) else tokens:
            if _text(token) not in known:
                raise _adds(TOKENIZER_CONFIG_FILE, key, token)
    for text, number in read_object(folder / "added_tokens.json").items():
        if number not in (known.get(text, {}).get("id"), words.get(text)):
            raise _adds("added_tokens.json", text, text)


def _adds(file: str, key: str, token: Any) -> FolderRefused:
    return FolderRefused(
        f"{file}: `{key}` adds {_text(token)!r} otherwise than {TOKENIZER_FILE} has it: save the"
        " tokenizer again"
    )


def _text(token: Any) -> str | None:
    """Of a token as a string, or as an object with all its flags."""
    content = token.get("content") if isinstance(token, dict) else token
    return content if isinstance(content, str) else None


def _pad(
    folder: Path,
    config: dict[str, Any],
    network: dict[str, Any],
    tokenizer: Tokenizer,
    *,
    bert: bool,
) -> int:
    """The tokenizer's own padding: `config.json` is wrong about it in some published models."""
    named = config.get("pad_token") or read_object(folder / "special_tokens_map.json").get(
        "pad_token"
    )
    token = _text(named) or (_MARKS["pad_token"] if bert else None)
    named = None if token is None else tokenizer.token_to_id(token)
    pad = network.get("pad_token_id", 0) if named is None else named
    if not isinstance(pad, int) or pad < 0:
        raise NetworkError(f"{CONFIG_FILE}: pad_token_id is {pad!r}, not the number of a token")
    return pad


def _max_length(config: dict[str, Any]) -> int | None:
    length = config.get("model_max_length", config.get("max_len"))
    if length is None:
        return None
    if isinstance(length, bool) or not isinstance(length, int | float) or not length >= 1:
        raise NetworkError(
            f"{TOKENIZER_CONFIG_FILE}: model_max_length is {length!r}, not a number of tokens"
        )
    # "Without end" is written as 1e30.
    return int(min(length, 1e9))
