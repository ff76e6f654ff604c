"""Trackers: what MLflow and Weights & Biases get, and that none of it can hurt a training."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from lockstep_core.jobs import JobFailure
from lockstep_core.protocol.config import TrainConfig
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.training import MLflowSpec, WandbSpec
from lockstep_trainer.tracking import Ending, Tracker, tracked
from lockstep_trainer.tracking.mlflow import MLflow, flattened
from lockstep_trainer.tracking.wandb import Wandb

pytestmark = [pytest.mark.unit, pytest.mark.programs]


class Recording:
    """A tracker that keeps what it is told; `broken` names what it fails at."""

    name = "recording"

    def __init__(self, broken: str = "") -> None:
        self.broken, self.told = broken, list[object]()

    def _hear(self, what: str, *told: object) -> None:
        if self.broken == what:
            raise ConnectionError("no route to host\nand more")
        self.told.append((what, *told))

    def begin(self) -> None:
        self._hear("begin")

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        self._hear("log", step, dict(numbers))

    def end(self, ending: Ending, numbers: Mapping[str, float], files: Sequence[Path]) -> None:
        self._hear("end", ending, dict(numbers), list(files))

    def abandon(self) -> None:
        self.told.append(("abandon",))


def test_all_is_passed_on_in_order_and_the_first_ending_counts() -> None:
    backend, warnings = Recording(), list[str]()
    tracker = Tracker(backend, warnings.append)
    tracker.log(10, loss=0.5)
    tracker.log(20, loss=0.25, recallAt1=1.0)
    tracker.close(Ending.FINISHED, {"recallAt1": 0.9}, [Path("report.html")])
    tracker.close(Ending.FAILED)
    assert backend.told == [
        ("begin",),
        ("log", 10, {"loss": 0.5}),
        ("log", 20, {"loss": 0.25, "recallAt1": 1.0}),
        ("end", Ending.FINISHED, {"recallAt1": 0.9}, [Path("report.html")]),
    ]
    assert warnings == []


@pytest.mark.parametrize("broken", ["begin", "log", "end"])
def test_a_tracker_that_fails_is_told_once_and_left_alone(broken: str) -> None:
    backend, warnings = Recording(broken), list[str]()
    tracker = Tracker(backend, warnings.append)
    for step in range(5):
        tracker.log(step, loss=1.0)
    tracker.close(Ending.FINISHED)
    (told,) = warnings
    assert "tracking.recording failed (ConnectionError: no route to host)" in told


def test_a_tracker_that_hangs_holds_up_nothing(monkeypatch) -> None:
    monkeypatch.setattr("lockstep_trainer.tracking.tracker.MAX_WAITING", 3)
    free, warnings = threading.Event(), list[str]()
    backend = Recording()
    backend.begin = free.wait  # type: ignore[method-assign,assignment]
    tracker = Tracker(backend, warnings.append)
    for step in range(100):
        tracker.log(step, loss=1.0)
    tracker.close(Ending.FINISHED, seconds=0.01)
    assert len(warnings) == 1 and "did not take everything within 0.01 s" in warnings[0]
    assert backend.told == [("abandon",)]
    free.set()


def test_nobody_is_told_where_none_is_asked_for(wire) -> None:
    before = threading.active_count()
    with tracked(TrainConfig.model_validate(wire), pytest.fail) as tracker:
        tracker.log(1, loss=2.0)
    assert threading.active_count() == before


def run_of(root: Path, wire: dict, ending: BaseException | None = None, **log: float) -> None:
    wire["training"]["tracking"] = {
        "mlflow": {"uri": f"file://{root}/runs", "experiment": "glyphs"}
    }
    with tracked(TrainConfig.model_validate(wire), pytest.fail) as tracker:
        tracker.log(10, **log)
        if ending is not None:
            raise ending
        (root / "report.html").write_text("<p>")
        tracker.close(Ending.FINISHED, {"recallAt1": 0.875}, [root / "report.html"])


def test_mlflow_has_one_run_a_release_also_after_its_pod_was_lost(tmp_path, wire) -> None:
    from mlflow import MlflowClient

    stopped = JobFailure(ExitCode.PREEMPTED, "Preempted", "a signal")
    with pytest.raises(JobFailure):
        run_of(tmp_path, wire, stopped, loss=0.5)
    client = MlflowClient(tracking_uri=f"file://{tmp_path}/runs")
    experiment = client.get_experiment_by_name("glyphs").experiment_id
    assert [run.info.status for run in client.search_runs([experiment])] == ["KILLED"]
    run_of(tmp_path, wire, loss=0.25)
    (run,) = client.search_runs([experiment])
    assert (run.info.status, run.info.run_name) == ("FINISHED", "glyphs-r1")
    assert run.data.metrics == {"loss": 0.25, "recallAt1": 0.875}
    history = client.get_metric_history(run.info.run_id, "loss")
    assert [(point.step, point.value) for point in history] == [(10, 0.5), (10, 0.25)]
    assert run.data.params["encoder.kind"] == "CNN" and run.data.params["budget.maxSteps"] == "80"
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["report.html"]


def test_mlflow_that_is_not_installed_is_a_warning(monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "mlflow", None)
    warnings: list[str] = []
    backend = MLflow(MLflowSpec(uri="http://mlflow:5000"), release="r", uid="u", settings={})
    tracker = Tracker(backend, warnings.append)
    tracker.close(Ending.FINISHED)
    (told,) = warnings
    assert 'the image has no MLflow: build it with EXTRAS="trainer mlflow"' in told


def wandb_run(
    root: Path, wire: dict, ending: BaseException | None = None, *, runs: int, loss: float
) -> None:
    wire["training"]["tracking"] = {"wandb": {"uri": f"file://{root}", "project": "glyphs"}}
    with tracked(TrainConfig.model_validate(wire), pytest.fail) as tracker:
        tracker.log(10 * runs, loss=loss)
        # A training lasts longer than its client takes to start; this one would not.
        for _ in range(600):
            if len(list((root / "wandb").glob("offline-run-*/*.wandb"))) == runs:
                break
            time.sleep(0.1)
        if ending is not None:
            raise ending
        (root / "report.html").write_text("<p>")
        tracker.close(Ending.FINISHED, {"recallAt1": 0.875}, [root / "report.html"])


def records_of(folder: Path) -> list:
    """What the client wrote for the server, in its order: a log of LevelDB's format."""
    from wandb.proto.wandb_internal_pb2 import Record

    (file,) = folder.glob("*.wandb")
    data, at, found, part = file.read_bytes(), 7, [], b""
    while at + 7 <= len(data):
        _, length, kind = struct.unpack_from("<IHB", data, at)
        part += data[at + 7 : at + 7 + length]
        at += 7 + length
        at += (-at) % 32768 if (-at) % 32768 < 7 else 0
        if kind in (1, 4):  # whole, or the last part
            found.append(Record.FromString(part))
            part = b""
    return found


def test_wandb_has_one_run_a_release_also_after_its_pod_was_lost(
    tmp_path, wire, monkeypatch
) -> None:
    # A pod's root file system is read-only; this one takes nothing from root either.
    monkeypatch.setenv("HOME", "/proc/none")
    stopped = JobFailure(ExitCode.PREEMPTED, "Preempted", "a signal")
    with pytest.raises(JobFailure):
        wandb_run(tmp_path, wire, stopped, runs=1, loss=0.5)
    time.sleep(1.1)  # the client names its folders by the second
    wandb_run(tmp_path, wire, runs=2, loss=0.25)
    folders = sorted((tmp_path / "wandb").glob("offline-run-*"))
    assert len(folders) == 2, "one for each process"
    runs = [next(r.run for r in records_of(f) if r.HasField("run")) for f in folders]
    assert {run.run_id for run in runs} == {wire["releaseUID"]}
    assert {(run.project, run.display_name) for run in runs} == {("glyphs", "glyphs-r1")}
    config = {update.key: update.value_json for update in runs[0].config.update}
    assert json.loads(config["encoder"])["kind"] == "CNN"
    told = [r for r in records_of(folders[1]) if r.HasField("history")]
    items = {
        "/".join(item.nested_key) or item.key: item.value_json for item in told[0].history.item
    }
    assert (json.loads(items["loss"]), json.loads(items["_step"])) == (0.25, 20)
    exits = [next(r.exit for r in records_of(f) if r.HasField("exit")) for f in folders]
    assert [found.exit_code for found in exits] == [1, 0]
    assert (folders[1] / "files" / "report.html").read_text() == "<p>"


@pytest.mark.parametrize("answers", [True, False])
def test_a_wandb_server_that_is_away_or_hangs_is_a_warning(answers: bool, monkeypatch) -> None:
    """Nothing listens, or somebody does and never says a word."""
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if answers:
            server.listen()
        uri = f"http://127.0.0.1:{server.getsockname()[1]}"
        backend = Wandb(WandbSpec(uri=uri), release="r", uid="u", settings={})
        warnings: list[str] = []
        tracker = Tracker(backend, warnings.append)
        tracker.log(1, loss=1.0)
        tracker.close(Ending.FINISHED, seconds=2.0)
    (told,) = warnings
    assert told.startswith("tracking.wandb did not take everything within 2 s")
    assert backend._client is not None and backend._client.poll() is not None, "nothing is left"


def test_wandb_that_is_not_installed_is_a_warning(monkeypatch, tmp_path) -> None:
    (tmp_path / "wandb.py").write_text("raise ImportError('none here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    warnings: list[str] = []
    tracker = Tracker(Wandb(WandbSpec(), release="r", uid="u", settings={}), warnings.append)
    tracker.close(Ending.FINISHED)
    (told,) = warnings
    assert 'the image has no W&B client: build it with EXTRAS="trainer wandb"' in told


def test_settings_are_flat() -> None:
    assert flattened({"a": {"b": 1, "c": {"d": [2]}}, "e": "f"}) == {
        "a.b": 1,
        "a.c.d": [2],
        "e": "f",
    }
