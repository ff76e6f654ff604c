"""The demo, step by step. `make demo` runs it after the cluster is up and the images are built."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from examples.glyphs.demo import page, searches, view
from examples.glyphs.demo.cluster import MODEL, NAMESPACE, Cluster
from lockstep_core.protocol.datasets import SplitSpec
from lockstep_kubectl.api import Api
from lockstep_kubectl.gather import model_of

ROOT = Path(__file__).parents[3]
MANIFESTS = ROOT / "examples" / "glyphs" / "manifests"

NEXT = """
Try next, in another terminal:
  export KUBECONFIG={kubeconfig}
  kubectl -n {namespace} get em,vix,er
  kubectl -n {namespace} describe em {model}
  PATH="$PWD/.venv/bin:$PATH" kubectl lockstep status {model} -n {namespace}

Release 2, beside release 1 (a wider space: embeddings of 96 numbers instead of 64):
  kubectl -n {namespace} patch em {model} --type merge \\
    -p '{{"spec":{{"training":{{"encoder":{{"dimension":96}}}}}}}}'
  kubectl -n {namespace} get em {model} -w

Back to release 1, in one move:
  kubectl -n {namespace} annotate em/{model} --overwrite lockstep.dev/rollback=r1

Remove everything:
  make demo-down
"""


def cache_folder() -> Path:
    """Where the demo leaves its page: under the user's cache folder."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = root / "lockstep" / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m examples.glyphs.demo",
        description="Installs Lockstep on the dev cluster, releases the glyphs model with its"
        " index, shows the release as it moves, and draws the answers of real searches.",
    )
    parser.add_argument("--queries", type=int, default=10, help="characters to search (10)")
    parser.add_argument("--page", type=Path, help="where to write the page (the cache folder)")
    parser.add_argument("--times", type=Path, help="write the stage times as JSON to this file")
    return parser.parse_args()


def apply_example(cluster: Cluster, console: Console) -> None:
    """Installs the chart, draws the data set, and applies the model with its index."""
    console.print("== Lockstep: installing the chart")
    cluster.helm_install(ROOT / "charts" / "lockstep")
    console.print("== glyphs: drawing the data set on the cluster")
    cluster.kubectl("apply", "-f", str(MANIFESTS / "dataset.yaml"))
    wait = ("wait", "-n", NAMESPACE, "--for=condition=Complete", "--timeout=5m")
    cluster.kubectl(*wait, "job/glyphs-dataset")
    console.print("== glyphs: kubectl apply -f examples/glyphs/manifests/model.yaml")
    cluster.kubectl("apply", "-f", str(MANIFESTS / "model.yaml"))


def search_and_draw(cluster: Cluster, api: Api, arguments: argparse.Namespace) -> Path:
    """Asks the entry point and writes the page; returns its path."""
    model = model_of(api, NAMESPACE, MODEL)
    split = SplitSpec.model_validate(model["spec"]["training"]["data"]["split"])
    release = model["status"]["stable"]["release"]
    with tempfile.TemporaryDirectory() as folder:
        glyphs = searches.fetch_glyphs(cluster, release, Path(folder))
    rows = searches.choose_queries(glyphs, split, arguments.queries, seed=7)
    answers = searches.ask(api, glyphs, rows)
    path: Path = arguments.page or cache_folder() / "glyphs.html"
    path.write_text(page.render(glyphs, answers), encoding="utf-8")
    return path


def main() -> int:
    arguments = _arguments()
    console = Console(highlight=False)
    cluster = Cluster.find()
    apply_example(cluster, console)
    api = cluster.api()
    try:
        timeline = view.watch(api)
    except (view.ReleaseFailed, TimeoutError) as error:
        console.print(f"\n{error}", style="red", markup=False)
        return 1
    if arguments.times:
        arguments.times.write_text(json.dumps(timeline.seconds(), indent=2))
    path = search_and_draw(cluster, api, arguments)
    console.print(f"\nHealthy. The answers, as a picture: {path}", markup=False)
    options = {"kubeconfig": cluster.kubeconfig, "namespace": NAMESPACE, "model": MODEL}
    console.print(NEXT.format(**options), markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
