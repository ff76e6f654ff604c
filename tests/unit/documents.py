"""The pages of this repository, and what their code names: commands, paths, YAML."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel

ROOT = Path(__file__).parents[2]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in (
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "charts/lockstep/README.md",
        ROOT / "devcluster/README.md",
        *sorted((ROOT / "docs").rglob("*.md")),
    )
}
# Where paths in a page may begin, beside the repository and the page's own folder.
ROOMS = (
    "operator/lockstep_operator",
    "operator/lockstep_operator/decide",
    "core/lockstep_core",
    "trainer-image/lockstep_trainer",
    "encoder-image/lockstep_encoder",
    "indexer-image/lockstep_indexer",
    "kubectl-lockstep/lockstep_kubectl",
    "tests/unit",
)
_SUFFIXES = "py|md|yaml|yml|toml|txt|svg|lua"


@cache
def files() -> frozenset[str]:
    """Every file of the repository, and every folder above one."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\n")
    paths = [Path(name) for name in listed if name]
    return frozenset(str(p) for path in paths for p in (path, *path.parents))


def spans(text: str) -> list[str]:
    """Code within sentences, on one line each."""
    prose = re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]


def blocks(text: str, language: str) -> list[str]:
    """Blocks of code of one language."""
    return re.findall(rf"^ *```{language}\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)


def commands(text: str) -> list[str]:
    """Lines of shell blocks without comments, continued ones joined, and code in sentences."""
    lines = "\n".join(blocks(text, "sh")).replace("\\\n", " ").split("\n")
    typed = [re.sub(r"\s+#.*| *^#.*", "", line).strip() for line in lines]
    return [line for line in typed if line] + spans(text)


def calls(text: str, *programs: str) -> list[list[str]]:
    """The words after a program's name, wherever it is called in a page."""
    name = "|".join(re.escape(program) for program in programs)
    call = re.compile(rf"(?<![-\w/.])(?:{name})(?![-\w./])([^|)&;]*)")
    return [match[1].split() for command in commands(text) for match in call.finditer(command)]


def paths(text: str) -> list[str]:
    """What looks like a file or a folder of this repository, as it is written."""
    file = re.compile(rf"(?:[\w.-]+/)*[\w-][\w.-]*\.(?:{_SUFFIXES})")
    folder = re.compile(r"[\w.-]+/[\w./-]*")
    starts = {Path(name).parts[0] for name in files() if name != "."} | {
        Path(name).relative_to(room).parts[0]
        for room in ROOMS
        for name in files()
        if name.startswith(f"{room}/")
    }
    written = [span.partition(":")[0] for span in spans(text)]
    return [
        path
        for path in written
        if file.fullmatch(path) or (folder.fullmatch(path) and path.partition("/")[0] in starts)
    ]


def exists(path: str, page: str) -> bool:
    """Whether a path of a page is there: from the root, the page's folder, or a room."""
    name = path.rstrip("/")
    starts = ("", str(Path(page).parent), *ROOMS)
    if any(str(Path(start) / name) in files() for start in starts):
        return True
    # A file's name alone may be of anywhere.
    return "/" not in name and any(file.endswith(f"/{name}") for file in files())


def objects(text: str) -> Iterator[dict[str, Any]]:
    """The mappings of YAML blocks, documents apart."""
    for block in blocks(text, "yaml"):
        for found in yaml.safe_load_all(block):
            if isinstance(found, dict):
                yield found


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The contracts that a field's type holds, in lists and unions too."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from models_in(inner)


def contracts(roots: tuple[type[BaseModel], ...]) -> set[type[BaseModel]]:
    """These and all that their fields hold."""
    known: set[type[BaseModel]] = set()
    waiting = list(roots)
    while waiting:
        model = waiting.pop()
        if model not in known:
            known.add(model)
            for field in model.model_fields.values():
                waiting += models_in(field.annotation)
    return known


def has_field(models: Iterable[type[BaseModel]], path: Sequence[str]) -> bool:
    """Whether one of the models has the field `a.b.c`."""
    return not path or any(
        has_field(tuple(models_in(field.annotation)), path[1:]) or not path[1:]
        for model in models
        for name, field in model.model_fields.items()
        if (field.alias or name) == path[0]
    )


def strange_keys(data: object, models: Sequence[type[BaseModel]], at: str = "") -> Iterator[str]:
    """Paths of keys in YAML that none of the models has."""
    if isinstance(data, list):
        for item in data:
            yield from strange_keys(item, models, at)
    if not isinstance(data, dict):
        return
    for key, value in data.items():
        fields = [
            field
            for model in models
            for name, field in model.model_fields.items()
            if (field.alias or name) == key
        ]
        if not fields:
            yield f"{at}{key}"
            continue
        inner = [found for field in fields for found in models_in(field.annotation)]
        if inner:
            yield from strange_keys(value, inner, f"{at}{key}.")
