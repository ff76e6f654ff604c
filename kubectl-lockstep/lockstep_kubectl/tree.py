"""A model as a tree on the terminal: plain data in, something that rich prints out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from rich.console import Group, OverflowMethod, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from lockstep_kubectl.view import ConditionView, GateView, ModelView, ReleaseView, StepView
from lockstep_kubectl.work import Server, Work

PHASES = {
    "Healthy": "bold green",
    "Progressing": "bold cyan",
    "Paused": "bold yellow",
    "Degraded": "bold red",
}
VERDICTS = {
    "Pass": ("✔", "green"),
    "Fail": ("✘", "red"),
    "Inconclusive": ("?", "yellow"),
    "Error": ("!", "yellow"),
}
STEPS = {"Done": ("✔", "green"), "Current": ("▶", "bold cyan"), "Next": ("·", "dim")}
SHOWN_METRICS = 3


def tree(model: ModelView, now: datetime, *, fold: bool = False) -> RenderableType:
    """The picture of one model. `now` is for ages.

    A command stays on one line, so that it can be copied whole; `fold` it where a longer line
    would be cut off.
    """
    root = Tree(_title(model), guide_style="dim")
    root.add(Text(model.message))
    if not model.observed and model.conditions:
        root.add(Text("The operator has not seen the newest spec yet.", style="yellow"))
    for release in model.releases:
        _add_release(root, release, model.message, now)
    if model.gates:
        of = f" of {model.judged}" if model.judged else ""
        branch = root.add(f"gates{of} {model.gates_summary or ''}")
        for gate in model.gates:
            branch.add(gate_line(gate))
    _add_conditions(root, model)
    if not model.commands:
        return root
    return Group(root, *(_command(c.label, c.command, fold=fold) for c in model.commands))


def gate_line(gate: GateView) -> Text:
    """`✔ relevance: recall@1 0.991 >= 0.950 OK (...)`."""
    mark, style = VERDICTS.get(gate.verdict, ("·", "dim"))
    return Text.assemble((mark, style), f" {gate.name}: {gate.line}")


def ago(since: datetime, now: datetime) -> str:
    """`40 s`, `12 min`, `3 h`, `9 d`."""
    seconds = max(0, int((now - since).total_seconds()))
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _title(model: ModelView) -> Text:
    title = Text(f"EmbeddingModel {model.namespace}/{model.name}  ", style="bold")
    title.append(model.phase, PHASES.get(model.phase, "bold"))
    if model.step:
        title.append(f"  step {model.step} at {model.weight}")
    return title


def _command(label: str, command: str, *, fold: bool) -> Text:
    overflow: OverflowMethod = "fold" if fold else "ignore"
    return Text.assemble((f"{label}: ", "bold"), command, no_wrap=not fold, overflow=overflow)


def _add_release(root: Tree, release: ReleaseView, model_message: str, now: datetime) -> None:
    """`model_message` is the model's own message: what stands there is not said twice."""
    branch = root.add(_release_line(release, now))
    if release.steps:
        branch.add(_steps(release.steps))
    for work in release.work:
        branch.add(_work(work))
        for warning in work.warnings:
            branch.add(Text(f"warning: {warning}", style="yellow"))
    for server in release.servers:
        branch.add(_server(server))
    failure = release.failure
    if failure is not None:
        where = f", pod {failure.pod}" if failure.pod else ""
        code = f", exit code {failure.exit_code}" if failure.exit_code is not None else ""
        what = "" if failure.message in model_message else f": {failure.message}"
        line = f"last failure at {failure.stage}: {failure.reason}{code}{where}{what}"
        branch.add(Text(line, style="red"))


def _release_line(release: ReleaseView, now: datetime) -> Text:
    line = Text.assemble((f"{release.role:9} ", "dim"), (f"{release.name}  ", "bold"))
    line.append(release.stage)
    if release.weight is not None:
        line.append(f"  {release.weight}% of the requests")
        if release.asked_weight not in (None, release.weight):
            line.append(f", {release.asked_weight}% asked")
    if release.space:
        line.append(f"  space {release.space}")
    if release.since is not None:
        line.append(f"  for {ago(release.since, now)}", style="dim")
    return line


def _steps(steps: Iterable[StepView]) -> Text:
    line = Text("steps")
    for step in steps:
        mark, style = STEPS[step.state]
        line.append("  ").append(f"{mark} {step.text}", style)
    return line


def _work(work: Work) -> RenderableType:
    row = Table.grid(padding=(0, 1))
    cells: list[RenderableType] = [Text(f"Job {work.job}"), Text(work.state, style="dim")]
    if work.total:
        cells.append(ProgressBar(total=work.total, completed=work.done, width=20))
        cells.append(Text(f"{work.phase} {work.done:,}/{work.total:,}"))
    elif work.phase:
        cells.append(Text(work.phase))
    numbers = [f"{name} {value:.3g}" for name, value in list(work.metrics.items())[:SHOWN_METRICS]]
    if work.eta_seconds is not None:
        numbers.insert(0, f"{work.eta_seconds:.0f} s left")
    row.add_row(*cells, Text("  ".join(numbers), style="dim"))
    return row


def _server(server: Server) -> Text:
    what = "encoder" if server.index is None else f"index {server.index}"
    ready = server.ready >= server.asked
    line = Text(f"{what}  {server.name}  ")
    line.append(f"{server.ready}/{server.asked} ready", "green" if ready else "yellow")
    if server.troubles:
        line.append(f"  {'; '.join(server.troubles)}", "yellow")
    return line


def _add_conditions(root: Tree, model: ModelView) -> None:
    true = [c for c in model.conditions if c.status == "True" and c.type != "Stalled"]
    rest = [c for c in model.conditions if c not in true]
    if true:
        root.add(Text("true: " + ", ".join(_named(c) for c in true), style="dim"))
    for condition in rest:
        message = "" if _is_shown(condition, model) else f": {condition.message}"
        root.add(Text(f"{condition.type}={condition.status} {condition.reason}{message}"))


def _is_shown(condition: ConditionView, model: ModelView) -> bool:
    """Whether the message, or each gate's line in it, stands in the tree already."""
    if condition.message.startswith(model.message):
        return True
    return bool(model.gates) and all(gate.line in condition.message for gate in model.gates)


def _named(condition: ConditionView) -> str:
    plain = condition.reason in ("", condition.type)
    return condition.type if plain else f"{condition.type} ({condition.reason})"
