"""`kubectl lockstep`, or `kubectl-lockstep` without kubectl."""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from lockstep_core.network.kubeconfig import Login
from lockstep_core.protocol.verbs import Verb
from lockstep_kubectl.api import Api, ApiError
from lockstep_kubectl.arguments import parser
from lockstep_kubectl.asking import Answer, CannotAsk, ask, named_release, request_of, resume_of
from lockstep_kubectl.gather import Unknown, model_of, read, releases_of
from lockstep_kubectl.lists import gate_lines, gates_of_release, history_of, history_table
from lockstep_kubectl.recall import NONE_YET, recall_table, rows_of, told_by
from lockstep_kubectl.tree import tree
from lockstep_kubectl.view import ModelView, view_of

Look = Callable[[], list[ModelView]]

PIPE_WIDTH = 100
ACCEPTED, REFUSED, NO_ANSWER = 0, 1, 3


def main() -> int:
    arguments = parser().parse_args()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that cannot show a mark shows `?`, and not a traceback.
        sys.stdout.reconfigure(errors="replace")
    where = ""
    try:
        api = Api.connect(arguments.kubeconfig, arguments.context)
        where = f"\n  on {api.login}"
        return _run(api, arguments, _console())
    except (ApiError, Unknown, CannotAsk) as error:
        print(f"error: {error}{where}", file=sys.stderr)
        return REFUSED
    except (KeyboardInterrupt, BrokenPipeError):
        return ACCEPTED


def _console() -> Console:
    """As wide as the terminal; in a pipe 100 columns, and no control codes."""
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    return Console(width=width, highlight=False, markup=False, emoji=False)


def _run(api: Api, arguments: argparse.Namespace, console: Console) -> int:
    namespace: str = arguments.namespace or api.namespace
    if arguments.verb == "status":
        return _status(api, arguments, namespace, console)
    name = _bare(arguments.name)
    if arguments.verb in ("history", "gates"):
        return _table(api, arguments, namespace, name, console)
    if arguments.verb == "recall":
        return _recall(api, arguments, namespace, name, console)
    model = model_of(api, namespace, name)
    if arguments.verb == "resume":
        request = resume_of(model)
    else:
        releases = releases_of(api, model)
        request = request_of(Verb(arguments.verb), model, releases, arguments.release)
    wait = arguments.timeout
    answer = ask(api, request, wait_seconds=wait, clock=time.monotonic, sleep=time.sleep)
    return _print_answer(answer, arguments, api.login)


def _bare(name: str) -> str:
    """`glyphs` of `em/glyphs`."""
    return name.rpartition("/")[2]


def _status(api: Api, arguments: argparse.Namespace, namespace: str, console: Console) -> int:
    where = None if arguments.all_namespaces else namespace
    name = None if arguments.name is None else _bare(arguments.name)

    def look() -> list[ModelView]:
        return [view_of(snapshot) for snapshot in read(api, where, name)]

    if arguments.watch:
        _watch(look, arguments, where, console)
        return ACCEPTED
    views = look()
    if arguments.output == "json":
        _print_json(views)
        return ACCEPTED
    _print(console, _page(views, where))
    return ACCEPTED


def _watch(look: Look, arguments: argparse.Namespace, where: str | None, console: Console) -> None:
    """On a terminal in place; in a pipe, and as JSON, whenever something changed."""
    if console.is_terminal and arguments.output == "text":
        with Live(console=console, auto_refresh=False, screen=True) as live:
            while True:
                views = _try(look)
                page = Text(views) if isinstance(views, str) else _page(views, where, fold=True)
                live.update(page, refresh=True)
                time.sleep(arguments.interval)
    before: object = None
    while True:
        views = _try(look)
        if views != before:
            before = views
            if isinstance(views, str):
                print(views, file=sys.stderr)
            elif arguments.output == "json":
                _print_json(views)
            else:
                _print(console, Group(_page(views, where), Text("")))
        sys.stdout.flush()
        time.sleep(arguments.interval)


def _try(look: Look) -> list[ModelView] | str:
    """A look, or why there is none now: an API server that restarts does not end a watch."""
    try:
        return look()
    except ApiError as error:
        if 0 < error.code < 500:
            raise
        return f"{error}; trying again"


def _page(views: list[ModelView], where: str | None, *, fold: bool = False) -> RenderableType:
    if not views:
        place = "any namespace" if where is None else f"namespace {where}"
        return Text(f"No EmbeddingModel in {place}.")
    now = datetime.now(UTC)
    parts: list[RenderableType] = []
    for view in views:
        parts += [tree(view, now, fold=fold), Text("")]
    return Group(*parts[:-1])


def _table(
    api: Api, arguments: argparse.Namespace, namespace: str, name: str, console: Console
) -> int:
    model = model_of(api, namespace, name)
    releases = releases_of(api, model)
    if arguments.verb == "history":
        entries = history_of(model, releases)
        if arguments.output == "json":
            _print_json(entries)
        else:
            _print(console, history_table(entries, datetime.now(UTC)))
        return ACCEPTED
    short = named_release(model, releases, arguments.release) if arguments.release else None
    gates = gates_of_release(model, releases, short)
    if arguments.output == "json":
        _print_json(gates)
    elif gates:
        _print(console, gate_lines(gates))
    else:
        print("No gate was judged yet.")
    return ACCEPTED


def _recall(
    api: Api, arguments: argparse.Namespace, namespace: str, name: str, console: Console
) -> int:
    model_of(api, namespace, name)
    told = told_by(api, namespace, name)
    known = {index for answer in told.answers for index in answer.indexes}
    if arguments.index is not None and known and arguments.index not in known:
        there = ", ".join(sorted(known))
        raise Unknown(f'no index "{arguments.index}" of {name} is measured: there are {there}')
    rows = rows_of(told.answers, index=arguments.index, queries=arguments.queries)
    if arguments.output == "json":
        _print_json(rows)
    elif rows:
        _print(console, recall_table(rows))
    else:
        off = told.answers and not any(answer.per_minute for answer in told.answers)
        why = " `spec.monitoring.recall.perMinute` is 0, or the model has no index." if off else ""
        print(NONE_YET + why)
    for problem in told.problems:
        print(problem, file=sys.stderr)
    return ACCEPTED if told.answers else REFUSED


def _print_answer(answer: Answer, arguments: argparse.Namespace, login: Login) -> int:
    request = answer.request
    if arguments.output == "json":
        plain = dataclasses.asdict(request) | {
            "accepted": answer.accepted,
            "outcome": answer.outcome,
            "cluster": login.cluster,
            "server": login.server,
            "context": login.context,
        }
        print(json.dumps(plain, indent=2))
    else:
        stream = sys.stdout if answer.accepted else sys.stderr
        print(f"{request.verb} {request.release}: {answer.outcome}", file=stream)
        print(f"  on {request.namespace}/{request.model} of {login}", file=stream)
    if answer.accepted is None:
        return NO_ANSWER
    return ACCEPTED if answer.accepted else REFUSED


def _print(console: Console, what: RenderableType) -> None:
    # Not cropped: a command that is longer than the line is copied whole.
    console.print(what, crop=False)


def _print_json(what: list[Any]) -> None:
    plain = [dataclasses.asdict(view) for view in what]
    print(json.dumps(plain, indent=2, default=lambda value: value.isoformat()))


if __name__ == "__main__":
    sys.exit(main())
