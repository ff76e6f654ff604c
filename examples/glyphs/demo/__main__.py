"""The demo, step by step. `make demo` runs it after the cluster is up and the images are built."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.text import Text

from examples.glyphs.demo import drift, explain, page, searches, story, view
from examples.glyphs.demo.cluster import (
    CLAIM,
    MODEL,
    NAMESPACE,
    Cluster,
    look,
    wait_until_bound,
)
from examples.glyphs.demo.curve import Curve
from examples.glyphs.demo.story import Act
from examples.glyphs.demo.visits import Counts, Visitors, Window
from lockstep_core.protocol.datasets import SplitSpec
from lockstep_kubectl.api import Api
from lockstep_kubectl.gather import Snapshot
from lockstep_kubectl.tree import tree
from lockstep_kubectl.view import view_of

ROOT = Path(__file__).parents[3]
MANIFESTS = ROOT / "examples" / "glyphs" / "manifests"
MODEL_FILE = MANIFESTS / "model.yaml"


def cache_folder() -> Path:
    """Where the demo leaves its page: under the user's cache folder."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = root / "lockstep" / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _arguments() -> argparse.Namespace:
    last = len(story.ACTS)
    parser = argparse.ArgumentParser(
        prog="python -m examples.glyphs.demo",
        description="Installs Lockstep on the dev cluster and releases the glyphs model with its"
        " index: a first release, a second one by a canary, a bad one that its gate stops, and one"
        " that drift asks for, when visitors draw what no release has seen. At the end it draws the"
        " answers of real searches, and the drift. It goes on where an earlier run ended.",
    )
    parser.add_argument("--queries", type=int, default=10, help="characters to search (10)")
    parser.add_argument("--page", type=Path, help="where to write the page (the cache folder)")
    parser.add_argument("--times", type=Path, help="write the stage times as JSON to this file")
    parser.add_argument(
        "--releases",
        type=int,
        default=last,
        choices=range(1, last + 1),
        help=f"releases to show ({last})",
    )
    return parser.parse_args()


def install(cluster: Cluster, api: Api, console: Console) -> None:
    """Installs the chart and draws the data set."""
    console.print("== Lockstep: installing the chart")
    cluster.helm_install(ROOT / "charts" / "lockstep")
    console.print("== glyphs: drawing the data set on the cluster")
    cluster.kubectl("apply", "-f", str(MANIFESTS / "claim.yaml"))
    if not wait_until_bound(api):
        console.print(f"   claim {CLAIM} is not bound yet: its pod may have to come first")
    cluster.kubectl("apply", "-f", str(MANIFESTS / "dataset.yaml"))
    wait = ("wait", "-n", NAMESPACE, "--for=condition=Complete", "--timeout=5m")
    cluster.kubectl(*wait, "job/glyphs-drawings")


def ask_for(act: Act, cluster: Cluster, console: Console) -> None:
    """Changes the spec, and says how."""
    if act.training is None:
        console.print(f"== {act.title}\nkubectl apply -f {MODEL_FILE.relative_to(ROOT)}")
        cluster.kubectl("apply", "-f", str(MODEL_FILE))
        return
    change = ("-n", NAMESPACE, "patch", "em", MODEL, "--type=merge", "-p")
    console.print(f"\n== {act.title}", markup=False)
    command = f"kubectl {' '.join(change)} \\\n  '{act.patch}'"
    console.print(command, markup=False, soft_wrap=True)
    cluster.kubectl(*change, act.patch)


@dataclass
class Stage:
    """Where the acts are played, who visits meanwhile, and what is seen of it."""

    cluster: Cluster
    api: Api
    console: Console
    window: Window
    leaving: ExitStack
    visitors: Visitors | None = None
    drift: drift.Watch | None = None

    def play(self, act: Act) -> dict[str, float]:
        """Shows an act to its end; the seconds of its stages."""
        if act is not story.FIRST and self.visitors is None:
            self.visitors = self._visited_by("visitors")
            self.visitors.come()
        snapshot = look(self.api)
        asked = story.is_asked_for(act, snapshot.releases if snapshot else ())
        if act.by_drift:
            self._drift(asked)
        # The first release's file is applied again where it is on its way: it may say more now.
        elif act is story.FIRST or not asked:
            ask_for(act, self.cluster, self.console)
        beside = self.drift.look if self.drift else lambda: None
        seen = view.watch(act, self.api, self.visitors, self.console, self.window, beside)
        ended = look(self.api)
        if ended is not None:
            self.console.print(explain.after(act, ended), markup=False, soft_wrap=True)
        if self.drift is not None:
            self.console.print(drift.come_back(self.drift), markup=False)
        return seen.seconds()

    def _visited_by(self, pod: str) -> Visitors:
        visitors = Visitors(self.cluster, self.api, pod)
        self.leaving.callback(visitors.go)
        return visitors

    def _drift(self, asked: bool) -> None:
        """What leads to the release that drift asks for, unless that was seen before."""
        self.drift = drift.Watch(self.api, self.console, self._visited_by("new-visitors"))
        drift.begin(self.cluster, self.console)
        if asked:
            self.drift.visitors.come()
            return
        drift.take_back(self.cluster, self.console)
        request = drift.drifts(self.cluster, self.drift, self.console)
        drift.learn(self.cluster, self.drift, request, self.console)


def play(acts: Sequence[Act], stage: Stage) -> dict[str, dict[str, float]]:
    """Shows each act; the seconds of its stages by release."""
    times: dict[str, dict[str, float]] = {}
    for act in acts:
        times[act.name] = stage.play(act)
        if act is story.CANARY and story.LEARN in acts:
            drift.begin(stage.cluster, stage.console)
    return times


def search_and_draw(
    cluster: Cluster, api: Api, snapshot: Snapshot, count: int, path: Path, seen: Curve | None
) -> None:
    """Asks the entry point and writes the page."""
    split = SplitSpec.model_validate(snapshot.model["spec"]["training"]["data"]["split"])
    release = snapshot.model["status"]["stable"]["release"]
    with tempfile.TemporaryDirectory() as folder:
        glyphs = searches.fetch_glyphs(cluster, release, Path(folder))
    rows = searches.choose_queries(glyphs, split, count, seed=7)
    answers = searches.ask(api, glyphs, rows)
    path.write_text(page.render(glyphs, answers, seen), encoding="utf-8")


def finish(stage: Stage, arguments: argparse.Namespace) -> int:
    """What is there now, the answers as a picture, and what to try next."""
    cluster, api, console = stage.cluster, stage.api, stage.console
    snapshot = look(api)
    if snapshot is None or not (snapshot.model.get("status") or {}).get("stable"):
        problem = "nothing serves" if snapshot is None else explain.status_of(snapshot)
        console.print(problem, style="red", markup=False, soft_wrap=True)
        return 1
    lines = cluster.kubectl("get", "em,er", "-n", NAMESPACE).decode()
    table = Text(f"\n$ kubectl get em,er -n {NAMESPACE}\n{lines}")
    # On a terminal a row is a line: what does not fit was told above.
    console.print(
        table,
        no_wrap=True,
        overflow="ellipsis" if console.is_terminal else "ignore",
        crop=console.is_terminal,
    )
    path: Path = arguments.page or cache_folder() / "glyphs.html"
    seen = stage.drift.curve if stage.drift else None
    search_and_draw(cluster, api, snapshot, arguments.queries, path, seen)
    console.print(f"The answers, as a picture: {path}", markup=False, soft_wrap=True)
    tools = f"{Path(sys.executable).parent}:{Path(cluster.kubectl_path).parent}"
    commands = explain.what_next(snapshot, cluster.kubeconfig, tools)
    console.print(commands, markup=False, soft_wrap=True)
    return 0


def main() -> int:
    arguments = _arguments()
    console = Console(highlight=False)
    cluster = Cluster.find()
    api = cluster.api()
    install(cluster, api, console)
    snapshot = look(api)
    model, releases = (snapshot.model, snapshot.releases) if snapshot else (None, ())
    with ExitStack() as leaving:
        stage = Stage(cluster, api, console, Window(), leaving)
        try:
            acts = story.acts_left(model, releases, arguments.releases)
            if snapshot is not None and not acts:
                console.print("== The releases of the demo are there already\n")
                console.print(tree(view_of(snapshot), datetime.now(UTC)), crop=False)
            times = play(acts, stage)
        except (view.NotAsExpected, TimeoutError) as error:
            console.print(f"\n{error}", style="red", markup=False, soft_wrap=True)
            return 1
    if arguments.times:
        arguments.times.write_text(json.dumps(times, indent=2))
    latest = stage.window.latest
    if latest.total:
        console.print(f"\nVisitors: {latest.told()}", markup=False)
    new = stage.drift.before if stage.drift else Counts()
    if new.total:
        console.print(f"New visitors: {new.told()}", markup=False)
    code = finish(stage, arguments)
    return code if latest.is_clean and new.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
