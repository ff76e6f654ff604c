"""Live index recall of a model: what the monitors beside its encoders counted, added up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pydantic import ValidationError
from rich.console import RenderableType
from rich.table import Table

from lockstep_core.protocol.labels import COMPONENT, MODEL, RELEASE
from lockstep_core.protocol.recall import RecallAnswer, RecallWindow
from lockstep_core.protocol.verbs import short_name
from lockstep_core.quality.intervals import graded_interval
from lockstep_core.quality.live_recall import CONFIDENCE, statistics_of
from lockstep_kubectl.api import Api, ApiError, Object, core_path

NONE_YET = "No live search was measured yet."


@dataclass(frozen=True)
class Row:
    """Recall@k of one index of a release, with its 95 % interval, over `n` searches `since`."""

    release: str
    index: str
    k: int
    recall: float
    lower: float
    upper: float
    n: int
    since: datetime


@dataclass(frozen=True)
class Told:
    """What pods answered, and why others did not."""

    answers: tuple[RecallAnswer, ...] = ()
    problems: tuple[str, ...] = field(default=())


def told_by(api: Api, namespace: str, model: str) -> Told:
    """Asks every encoder pod of the model that runs, through the API server's proxy."""
    pods = api.list(core_path("pods", namespace), f"{MODEL}={model},{COMPONENT}=encoder")
    running = [pod for pod in pods if pod.get("status", {}).get("phase") == "Running"]
    if not running:
        return Told(problems=(f"no encoder pod of {model} runs in namespace {namespace}",))
    with ThreadPoolExecutor(max_workers=8) as readers:
        found = list(readers.map(lambda pod: _ask(api, namespace, pod), running))
    answers = tuple(one for one in found if isinstance(one, RecallAnswer))
    said = [one for one in found if isinstance(one, str)]
    said += [answer.problem for answer in answers if answer.problem]
    return Told(answers, tuple(sorted(set(said))))


def _ask(api: Api, namespace: str, pod: Object) -> RecallAnswer | str:
    name = pod["metadata"]["name"]
    try:
        answer = RecallAnswer.model_validate(api.recall(namespace, name))
    except ApiError as error:
        if error.code == 404:
            return f"pod {name} does not measure it: its release was made before it could"
        return f"pod {name}: {error}"
    except (ValidationError, ValueError):
        return f"pod {name} gave no recall"
    release = (pod["metadata"].get("labels") or {}).get(RELEASE)
    return answer if answer.release == release else f"pod {name} is of {answer.release} by now"


def rows_of(
    answers: Iterable[RecallAnswer], *, index: str | None = None, queries: int | None = None
) -> list[Row]:
    """A row for each release, index and k: of the newest windows that hold `queries` searches, or
    of all that the pods keep."""
    by: dict[tuple[str, str, int], list[tuple[float, RecallWindow]]] = {}
    for answer in answers:
        for window in (*answer.windows, *answer.open):
            if index in (None, window.index):
                key = (answer.release, window.index, window.k)
                by.setdefault(key, []).append((window.window * answer.window_seconds, window))
    return [_row(*key, found, queries) for key, found in sorted(by.items())]


def _row(
    release: str,
    index: str,
    k: int,
    found: Sequence[tuple[float, RecallWindow]],
    queries: int | None,
) -> Row:
    begins = sorted({begin for begin, _ in found}, reverse=True)
    since, held = begins[-1], 0
    for begin in begins:
        held += sum(window.n for at, window in found if at == begin)
        if queries is not None and held >= queries:
            since = begin
            break
    stats = statistics_of(window for at, window in found if at >= since)
    lower, upper = graded_interval(stats, CONFIDENCE)
    return Row(
        short_name(release),
        index,
        k,
        stats.mean,
        lower,
        upper,
        stats.n,
        datetime.fromtimestamp(since, UTC),
    )


def recall_table(rows: Sequence[Row]) -> RenderableType:
    """A line a row."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("RELEASE", "INDEX", "K", "RECALL", "95% INTERVAL", "SEARCHES", "SINCE"):
        table.add_column(title, no_wrap=True)
    for row in rows:
        table.add_row(
            row.release,
            row.index,
            str(row.k),
            f"{row.recall:.3f}",
            f"[{row.lower:.3f}, {row.upper:.3f}]",
            str(row.n),
            f"{row.since:%Y-%m-%d %H:%M}Z",
        )
    return table
