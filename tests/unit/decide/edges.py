"""The ways from stage to stage: as `docs/release-machine.md` tells them, and as the code has them.

The code says them in its types: a stage returns `Enter[Literal[...]]`, `Fail`, `RollBack`, `End`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from lockstep_operator import decide
from lockstep_operator.api.release import Stage
from lockstep_operator.decide.context.transitions import End, Enter, Fail, RollBack
from lockstep_operator.decide.stage_table import STAGE_TABLE
from lockstep_operator.decide.stages.advance import STAGES

PAGE = (Path(__file__).parents[3] / "docs" / "release-machine.md").read_text()
DECIDE = Path(decide.__file__).parent
_ROW = re.compile(r"^\| ([\w(), ]+) \| ([\w, ]+) \| `([\w/]+\.py):(\w+)` \|$", re.MULTILINE)
_ENDS = {Fail: Stage.FAILED, RollBack: Stage.ROLLING_BACK, End: Stage.SUPERSEDED}
Edge = tuple[Stage | None, Stage]


def told() -> dict[tuple[str, str], set[Edge]]:
    """Edges by module and function, as the page has them."""
    rows: dict[tuple[str, str], set[Edge]] = {}
    for sources, targets, module, function in _ROW.findall(PAGE):
        edges = {(a, Stage(b)) for a in _stages(sources) for b in targets.split(", ")}
        assert (module, function) not in rows, f"{function} has two rows"
        rows[module, function] = edges
    return rows


def _stages(words: str) -> Iterator[Stage | None]:
    for word in words.split(", "):
        if word == "on its way":
            yield from (stage for stage, facts in STAGE_TABLE.items() if facts.on_its_way)
        else:
            yield None if word == "(made)" else Stage(word)


def targets_of(function: Callable[..., Any]) -> set[Stage]:
    """The stages that a function's return type names."""
    hint = get_type_hints(function).get("return")
    parts = [hint] if get_origin(hint) is Enter or not get_args(hint) else get_args(hint)
    found: set[Stage] = set()
    for part in parts:
        if get_origin(part) is Enter:
            (stages,) = get_args(part)
            found |= set(get_args(stages)) if get_origin(stages) is Literal else set()
        else:
            found |= {stage for kind, stage in _ENDS.items() if part is kind}
    return found


def of_stages() -> dict[tuple[str, str], set[Edge]]:
    """Edges of the functions of stages."""
    return {
        _place(look): {(stage, target) for target in targets_of(look)}
        for stage, look in STAGES.items()
        if targets_of(look)
    }


def of_others() -> dict[tuple[str, str], set[Stage]]:
    """Targets of every other function of `stages` and `releases` that lets a release enter a stage.

    Not of those that a stage alone calls (in its module, or in one that begins with its name): what
    they return is in the type of the stage.
    """
    found = {}
    for function in _functions("stages", "releases"):
        module = function.__module__.rpartition(".")[2]
        its = (look for look in STAGES.values() if module.startswith(look.__name__))
        more = targets_of(function) - {stage for look in its for stage in targets_of(look)}
        if more and function not in STAGES.values():
            found[_place(function)] = targets_of(function)
    return found


def _functions(*rooms: str) -> Iterator[Callable[..., Any]]:
    for path in sorted(path for room in rooms for path in (DECIDE / room).rglob("*.py")):
        parts = path.relative_to(DECIDE).with_suffix("").parts
        module = import_module(".".join((decide.__name__, *parts)).removesuffix(".__init__"))
        for function in vars(module).values():
            if inspect.isfunction(function) and function.__module__ == module.__name__:
                yield function


def _place(function: Callable[..., Any]) -> tuple[str, str]:
    module = function.__module__.removeprefix(f"{decide.__name__}.").replace(".", "/")
    return f"{module}.py", function.__name__
