"""Which of a published model's prompts its texts are embedded with."""

from __future__ import annotations

from typing import Any

from lockstep_trainer.pretrained.base import NetworkError
from lockstep_trainer.pretrained.published_keys import MODEL_FILE, FolderRefused

NO_PROMPT = ""


def choose_prompt(config: dict[str, Any], asked: str | None) -> str | None:
    """The text to put before every text; None for none.

    Args:
        config: of config_sentence_transformers.json.
        asked: name of a prompt, `NO_PROMPT` for none, None to take what the model's own `encode`
            takes.

    Raises FolderRefused where queries and documents would need different ones, NetworkError for a
    name that is none.
    """
    texts = config.get("prompts") or {}
    if not isinstance(texts, dict) or not all(isinstance(t, str | None) for t in texts.values()):
        raise NetworkError(f"{MODEL_FILE}: `prompts` is no object of texts")
    texts = {name: text for name, text in texts.items() if text}
    default = config.get("default_prompt_name")
    if not isinstance(default, str | None):
        raise NetworkError(f"{MODEL_FILE}: `default_prompt_name` is {default!r}, not a name")
    if asked is not None:
        return None if asked == NO_PROMPT else _named(texts, asked, "--prompt")
    if default is None:
        if texts:
            raise _ambiguous(texts, "no default_prompt_name")
        return None
    if default in (config.get("prompts") or {}) and default not in texts:
        chosen = None
    else:
        chosen = _named(texts, default, f"{MODEL_FILE}: `default_prompt_name`")
    if set(texts.values()) - {chosen}:
        raise _ambiguous(texts, f"default_prompt_name {default!r}")
    return chosen


def _named(texts: dict[str, str], name: str, place: str) -> str:
    if name not in texts:
        raise NetworkError(
            f"{place} is {name!r}, but `prompts` of {MODEL_FILE} has"
            f" {', '.join(sorted(texts)) or 'none'}"
        )
    return texts[name]


def _ambiguous(texts: dict[str, str], default: str) -> FolderRefused:
    return FolderRefused(
        f"{MODEL_FILE}: `prompts` has {', '.join(sorted(texts))} and {default}, but queries and"
        " documents are read in one way here: give --prompt NAME to put that one before all of"
        ' them, or --prompt "" for none'
    )
