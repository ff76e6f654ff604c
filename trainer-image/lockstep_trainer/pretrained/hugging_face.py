"""A folder as Hugging Face and sentence-transformers publish it: what a Transformer starts from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lockstep_core.encoding.tokens import TOKENIZER_FILE, TokensSpec
from lockstep_core.protocol.training.encoder import Overlong, Pooling
from lockstep_trainer.pretrained.base import CONFIG_FILE, WEIGHTS_FILE, NetworkError, Pretrained

LENGTH_FILE = "sentence_bert_config.json"
POOLING_FILE = "1_Pooling/config.json"
_MODES = {"pooling_mode_mean_tokens": Pooling.MEAN, "pooling_mode_cls_token": Pooling.CLS}


def open_folder(
    folder: Path,
    *,
    pooling: Pooling | None = None,
    max_length: int | None = None,
    overlong: Overlong = Overlong.REFUSE,
) -> Pretrained:
    """Weights and tokenizer of `folder`, used as it says, but for what is given.

    Raises NetworkError that names the file, or the option that says what no file does.
    """
    for name in (CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE):
        if not (folder / name).is_file():
            raise NetworkError(
                f"{folder} has no {name}: name the folder of a model as it is published, with"
                f" {CONFIG_FILE}, {WEIGHTS_FILE} and {TOKENIZER_FILE}"
            )
    length = max_length or _read(folder / LENGTH_FILE).get("max_seq_length")
    if not isinstance(length, int) or length < 1:
        raise NetworkError(f"{folder} does not say how long a text may be: give --max-length")
    pad = _read(folder / CONFIG_FILE).get("pad_token_id", 0)
    if not isinstance(pad, int) or pad < 0:
        raise NetworkError(f"{CONFIG_FILE}: pad_token_id is {pad!r}, not the number of a token")
    text = TokensSpec(pad_id=pad, max_length=length, overlong=overlong)
    return Pretrained(folder, text, pooling or _pooling(folder))


def _pooling(folder: Path) -> Pooling:
    enabled = [name for name, on in _read(folder / POOLING_FILE).items() if on is True]
    modes = [name for name in enabled if name.startswith("pooling_mode_")]
    if len(modes) != 1 or modes[0] not in _MODES:
        raise NetworkError(
            f"{folder} is pooled by {', '.join(modes) or 'no file that says how'}: give --pooling"
            " Mean or CLS"
        )
    return _MODES[modes[0]]


def _read(file: Path) -> dict[str, Any]:
    """The JSON object; an empty one where there is no file."""
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_bytes())
    except ValueError as error:
        raise NetworkError(f"{file.name} is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise NetworkError(f"{file.name} is no JSON object")
    return content
