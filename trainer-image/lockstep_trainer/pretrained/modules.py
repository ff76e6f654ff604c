"""The modules that a published model is made of: which, where, how they pool, what follows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from lockstep_core.protocol.training.encoder import Pooling
from lockstep_trainer.pretrained.base import WEIGHTS_FILE, NetworkError
from lockstep_trainer.pretrained.head import (
    Activation,
    DenseLayer,
    Head,
    HeadLayer,
    LayerNormLayer,
    LayerWeights,
    NormalizeLayer,
)
from lockstep_trainer.pretrained.published_keys import (
    MODULES,
    MODULES_FILE,
    FolderRefused,
    check_keys,
)
from lockstep_trainer.pretrained.reading import read_json, read_object

MODULE_CONFIG = "config.json"
POOLING_FOLDER = "1_Pooling"
_LIBRARY = "sentence_transformers."
_MODES = {"mean": Pooling.MEAN, "cls": Pooling.CLS}
_OLD_MODES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


@dataclass(frozen=True)
class Module:
    """One entry of modules.json: the last part of its type, and its folder as it is named there."""

    kind: str
    root: Path
    path: str

    @property
    def folder(self) -> Path:
        return self.root / self.path

    @property
    def config_name(self) -> str:
        return f"{self.path}/{MODULE_CONFIG}"

    def config(self) -> dict[str, Any]:
        """Its own config, every key of which is honoured; raises NetworkError."""
        content = read_object(self.folder / MODULE_CONFIG)
        check_keys(content, self.kind, file=self.config_name)
        return content


@dataclass(frozen=True)
class Modules:
    """`transformer` is a folder; `ends` is what comes after `pooling`, without Dropout."""

    transformer: Path
    pooling: Module
    after: tuple[Module, ...]

    @property
    def unit_norm(self) -> bool:
        """Whether the model itself gives vectors of unit norm."""
        return bool(self.after) and self.after[-1].kind == "Normalize"


def read_modules(folder: Path) -> Modules:
    """Raises NetworkError for modules that are not built here, in such an order."""
    listed = folder / MODULES_FILE
    modules = _listed(folder) if listed.is_file() else _unlisted(folder)
    for module in modules:
        if module.kind not in MODULES:
            raise FolderRefused(f"{MODULES_FILE}: {module.kind} is not known to this version")
        if why := MODULES[module.kind]:
            raise FolderRefused(f"{MODULES_FILE}: {module.kind} is not honoured: {why}")
        if module.kind == "Dropout":
            module.config()
    modules = [module for module in modules if module.kind != "Dropout"]
    kinds = [module.kind for module in modules]
    if kinds[:2] != ["Transformer", "Pooling"] or {"Transformer", "Pooling"} & {*kinds[2:]}:
        raise FolderRefused(
            f"{MODULES_FILE}: {', '.join(kinds)} is not honoured: one Transformer, one Pooling,"
            " and then Dense, LayerNorm and Normalize in any order are"
        )
    return Modules(modules[0].folder, modules[1], tuple(modules[2:]))


def _listed(folder: Path) -> list[Module]:
    entries = read_json(folder / MODULES_FILE)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise NetworkError(f"{MODULES_FILE} is no list of objects")
    return [_module(folder, entry) for entry in entries]


def _module(folder: Path, entry: dict[str, Any]) -> Module:
    check_keys(entry, MODULES_FILE, file=MODULES_FILE)
    kind, path = entry.get("type"), entry.get("path", "")
    if not isinstance(kind, str) or not kind.startswith(_LIBRARY):
        raise FolderRefused(
            f"{MODULES_FILE}: `type` is {kind!r}, which is no module of sentence-transformers: code"
            " that comes with a model is not run"
        )
    plain = isinstance(path, str) and "\\" not in path and "\0" not in path
    if not plain or PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise FolderRefused(f"{MODULES_FILE}: `path` is {path!r}, which leaves the folder")
    return Module(kind.rpartition(".")[2], folder, path)


def _unlisted(folder: Path) -> list[Module]:
    """A folder as Hugging Face lays it out, with or without how it is pooled."""
    others = sorted(
        path.name
        for path in (folder.iterdir() if folder.is_dir() else ())
        if path.is_dir() and path.name[:1].isdigit() and "_" in path.name
    )
    if [name for name in others if name != POOLING_FOLDER]:
        raise FolderRefused(
            f"{folder} has {', '.join(others)}, but no {MODULES_FILE} that says in which order"
        )
    return [Module("Transformer", folder, ""), Module("Pooling", folder, POOLING_FOLDER)]


def read_pooling(modules: Modules) -> Pooling:
    """Raises NetworkError for a pooling that is not built here, and where no file says one."""
    module = modules.pooling
    modes = _pooling_modes(module.config())
    if modes == ["mean_sqrt_len_tokens"] and not head_of(modules).layers:
        # The same direction as the mean, and the length is lost in the unit norm.
        return Pooling.MEAN
    if len(modes) != 1 or modes[0] not in _MODES:
        said = f"by {', '.join(modes)}" if modes else "as no file says"
        raise FolderRefused(
            f"{module.config_name}: `pooling_mode`: the tokens are pooled {said}. Give --pooling"
            " Mean or CLS, which are built here; another one than it was trained with makes other"
            " embeddings"
        )
    return _MODES[modes[0]]


def _pooling_modes(config: dict[str, Any]) -> list[str]:
    asked = config.get("pooling_mode")
    if asked is None:
        return [mode for name, mode in _OLD_MODES.items() if config.get(name) is True]
    return [str(mode) for mode in (asked if isinstance(asked, list) else [asked])]


def head_of(modules: Modules) -> Head:
    """What follows the pooling; what ends in unit norm needs no layer for it here.

    Raises NetworkError.
    """
    layers: list[tuple[HeadLayer, LayerWeights | None]] = [
        (_layer(module), _weights(module)) for module in modules.after
    ]
    while layers and isinstance(layers[-1][0], NormalizeLayer):
        layers.pop()
    return Head(tuple(layer for layer, _ in layers), tuple(weights for _, weights in layers))


def _layer(module: Module) -> HeadLayer:
    config = module.config()
    try:
        match module.kind:
            case "Dense":
                return DenseLayer(
                    in_features=config.get("in_features"),
                    out_features=config.get("out_features"),
                    bias=config.get("bias", True),
                    activation=_activation(module, config),
                    residual=config.get("use_residual", False),
                )
            case "LayerNorm":
                return LayerNormLayer(dimension=config.get("dimension"))
            case _:
                return NormalizeLayer()
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        where = ".".join(map(str, wrong["loc"]))
        raise NetworkError(f"{module.config_name}: {where}: {wrong['msg']}") from error


def _activation(module: Module, config: dict[str, Any]) -> Activation:
    """Tanh where the file names none: so does the library."""
    named = config.get("activation_function", "torch.nn.modules.activation.Tanh")
    last = named.rpartition(".")[2] if isinstance(named, str) else ""
    if not str(named).startswith("torch.nn.") or last not in list(Activation):
        raise FolderRefused(
            f"{module.config_name}: `activation_function` is {named!r}, which is not honoured:"
            f" {', '.join(Activation)} of torch.nn are"
        )
    return Activation(last)


def _weights(module: Module) -> LayerWeights | None:
    if module.kind == "Normalize":
        return None
    if not (module.folder / WEIGHTS_FILE).is_file():
        raise FolderRefused(
            f"{module.path} has no {WEIGHTS_FILE}: pickled weights are not read, save the model"
            " again with a version of sentence-transformers that writes safetensors"
        )
    return LayerWeights(module.folder / WEIGHTS_FILE)
