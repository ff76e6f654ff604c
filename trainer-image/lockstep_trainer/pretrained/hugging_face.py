"""A folder as Hugging Face and sentence-transformers publish it: what a Transformer starts from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lockstep_core.encoding.tokens import TOKENIZER_FILE, TokensSpec
from lockstep_core.protocol.training.encoder import Overlong, Pooling
from lockstep_trainer.pretrained.base import CONFIG_FILE, WEIGHTS_FILE, NetworkError, Pretrained
from lockstep_trainer.pretrained.modules import Modules, head_of, read_modules, read_pooling
from lockstep_trainer.pretrained.prompts import choose_prompt
from lockstep_trainer.pretrained.published_keys import (
    MODEL_FILE,
    REFUSED_FILES,
    TRANSFORMER_FILES,
    FolderRefused,
    check_keys,
)
from lockstep_trainer.pretrained.reading import read_object
from lockstep_trainer.pretrained.tokenizer_files import PublishedTokenizer, read_tokenizer


def open_folder(
    folder: Path,
    *,
    pooling: Pooling | None = None,
    max_length: int | None = None,
    overlong: Overlong = Overlong.REFUSE,
    prompt: str | None = None,
) -> Pretrained:
    """Weights and tokenizer of `folder`, used as it says, but for what is given.

    `prompt` is the name of one of its prompts, "" for none.

    Raises FolderRefused for a module or key that is not honoured, and NetworkError that names the
    file, or the option that says what no file does.
    """
    modules = read_modules(folder)
    trunk = modules.transformer
    _check_files(folder, trunk)
    network = read_object(trunk / CONFIG_FILE)
    check_keys(network, CONFIG_FILE, file=CONFIG_FILE, others=True)
    reading = _transformer_config(trunk)
    tokenizer = read_tokenizer(trunk, lower_case=_flag(reading, "do_lower_case"))
    model = read_object(folder / MODEL_FILE)
    check_keys(model, MODEL_FILE, file=MODEL_FILE)
    _check_similarity(model, modules)
    try:
        text = TokensSpec(
            pad_id=tokenizer.pad_id,
            max_length=_length(folder, max_length, reading, tokenizer, network),
            overlong=overlong,
            prompt=_prompt(model, prompt, modules, tokenizer),
        )
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        raise NetworkError(
            f"{folder}: {'.'.join(map(str, wrong['loc']))}: {wrong['msg']}"
        ) from error
    chosen = pooling or read_pooling(modules)
    return Pretrained(trunk, text, chosen, tokenizer.data, head_of(modules))


def _check_files(folder: Path, trunk: Path) -> None:
    for name in (CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE):
        if not (trunk / name).is_file():
            raise NetworkError(
                f"{trunk} has no {name}: name the folder of a model as it is published, with"
                f" {CONFIG_FILE}, {WEIGHTS_FILE} and {TOKENIZER_FILE}"
            )
    for name, why in REFUSED_FILES.items():
        if (folder / name).exists() or (trunk / name).exists():
            raise FolderRefused(f"{folder} has {name}, which is not honoured: {why}")


def _transformer_config(trunk: Path) -> dict[str, Any]:
    for name in TRANSFORMER_FILES:
        if content := read_object(trunk / name):
            check_keys(content, TRANSFORMER_FILES[0], file=name)
            return content
    return {}


def _flag(config: dict[str, Any], name: str) -> bool:
    value = config.get(name)
    if value is not None and not isinstance(value, bool):
        raise NetworkError(f"{TRANSFORMER_FILES[0]}: {name} is {value!r}, not true or false")
    return bool(value)


def _check_similarity(model: dict[str, Any], modules: Modules) -> None:
    """Raises FolderRefused unless the cosine ranks as the model's own similarity does."""
    named = model.get("similarity_fn_name")
    if named in (None, "cosine") or (named in ("dot", "euclidean") and modules.unit_norm):
        return
    raise FolderRefused(
        f"{MODEL_FILE}: `similarity_fn_name` is {named!r}, which is not honoured: embeddings have"
        " unit norm here and are compared by their cosine, which ranks as `dot` and `euclidean` do"
        " only where a Normalize module comes last. Say cosine there if that is how to search"
    )


def _length(
    folder: Path,
    asked: int | None,
    reading: dict[str, Any],
    tokenizer: PublishedTokenizer,
    network: dict[str, Any],
) -> int:
    positions = network.get("max_position_embeddings")
    bound = positions if isinstance(positions, int) else asked
    if asked is not None:
        if bound is not None and asked > bound:
            raise NetworkError(
                f"--max-length is {asked}, but the weights know {bound} positions: give at most"
                " that"
            )
        return asked
    length = reading.get("max_seq_length") or tokenizer.max_length
    if not isinstance(length, int) or isinstance(length, bool) or length < 1:
        raise NetworkError(f"{folder} does not say how long a text may be: give --max-length")
    # The library fails at a text beyond the positions, so none was ever embedded.
    return length if bound is None else min(length, bound)


def _prompt(
    model: dict[str, Any], asked: str | None, modules: Modules, tokenizer: PublishedTokenizer
) -> str | None:
    prompt = choose_prompt(model, asked)
    if prompt is None:
        return None
    if modules.pooling.config().get("include_prompt", True) is not True:
        raise FolderRefused(
            f"{modules.pooling.config_name}: `include_prompt` is false, which is not honoured:"
            " tokens of the prompt are pooled here, as those of the text are"
        )
    if tokenizer.reads_marks(prompt):
        raise FolderRefused(
            f"{MODEL_FILE}: `prompts`: {prompt!r} holds a special token of the tokenizer, which is"
            " read as text here"
        )
    return prompt
