from __future__ import annotations

import io
import json
import logging
import socket
import threading
import urllib.error
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lockstep_core.jobs import Reporter
from lockstep_core.jobs.reporter import MAX_WARNINGS
from lockstep_core.protocol.metrics import JOB
from lockstep_core.protocol.progress import Phase, Progress

pytestmark = pytest.mark.unit


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def reporter(stream: io.StringIO | None = None, clock: Clock | None = None) -> Reporter:
    return Reporter("Train", "glyphs-r1", stream=stream or io.StringIO(), clock=clock or Clock())


def get(port: int, path: str) -> tuple[str, str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return answer.headers["content-type"], answer.read().decode()


def test_rate_and_remaining_time_are_those_of_the_phase() -> None:
    clock = Clock()
    told = reporter(clock=clock)
    told.report(Phase.VALIDATING)
    assert told.progress.eta_seconds is None
    clock.now += 50
    told.report(Phase.TRAINING, 0, 100, loss=0.5)
    clock.now += 10
    told.report(Phase.TRAINING, 20, 100)
    assert told.progress.items_per_second == 2
    assert told.progress.eta_seconds == 40
    assert told.progress.metrics == {"loss": 0.5}
    told.report(Phase.TRAINING, 20, 0)
    assert told.progress.eta_seconds is None


def test_numbers_that_json_has_no_word_for_are_left_out() -> None:
    told = reporter()
    told.report(Phase.TRAINING, 1, 2, loss=float("nan"), active=float("inf"), variance=0.5)
    assert told.progress.metrics == {"variance": 0.5}


def test_a_log_gets_a_line_per_phase_and_then_few() -> None:
    clock, stream = Clock(), io.StringIO()
    told = reporter(stream, clock)
    for step in range(1000):
        clock.now += 0.01
        told.report(Phase.TRAINING, step, 1000)
    told.report(Phase.TRAINING, 1000, 1000)
    told.report(Phase.EXPORTING)
    told.report(Phase.EXPORTING)
    told.close()
    lines = [Progress.model_validate_json(line) for line in stream.getvalue().splitlines()]
    assert 4 <= len(lines) <= 6
    assert lines[0].done == 0
    assert [line.phase for line in lines[-2:]] == [Phase.TRAINING, Phase.EXPORTING]
    assert lines[-2].done == 1000


def test_a_terminal_gets_a_bar() -> None:
    clock, stream = Clock(), Terminal()
    told = reporter(stream, clock)
    told.report(Phase.TRAINING, 0, 4, loss=0.25)
    clock.now += 2
    told.report(Phase.TRAINING, 2, 4)
    told.report(Phase.TRAINING, 3, 4)
    told.report(Phase.EXPORTING)
    told.close()
    told.close()
    drawn = stream.getvalue()
    assert f"Training    [{'#' * 14}{'.' * 14}] 2/4 2s left loss=0.25" in drawn
    # Step 3 came at once after step 2, so it was not drawn.
    assert "3/4" not in drawn
    assert drawn.count("\n") == 2
    assert drawn.split("\n")[1].startswith("\rExporting")


def test_progress_and_metrics_are_served(caplog: pytest.LogCaptureFixture) -> None:
    told = reporter()
    port = told.serve(0)
    assert port is not None
    told.report(Phase.TRAINING, 3, 9, loss=0.125)
    told.warn("few classes")
    told.report(Phase.TRAINING, 4, 9)
    kind, body = get(port, "/progress?x=1")
    assert kind == "application/json"
    assert Progress.model_validate_json(body) == told.progress
    assert json.loads(body)["warnings"] == ["few classes"]
    kind, body = get(port, "/metrics")
    assert kind.startswith("text/plain")
    families = {family.name: family for family in text_string_to_metric_families(body)}
    assert set(families) == {row.name for row in JOB}
    samples = {
        (sample.name, sample.labels.get("phase") or sample.labels.get("name")): sample.value
        for family in families.values()
        for sample in family.samples
    }
    assert samples["lockstep_job_phase", "Training"] == 1
    assert samples["lockstep_job_phase", "Exporting"] == 0
    assert samples["lockstep_job_done_units", None] == 4
    assert samples["lockstep_job_total_units", None] == 9
    assert samples["lockstep_job_value", "loss"] == 0.125
    assert samples["lockstep_job_warnings", None] == 1
    (sample,) = families["lockstep_job_total_units"].samples
    assert sample.labels == {"program": "Train", "release": "glyphs-r1"}
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(port, "/other")
    assert "few classes" in caplog.text


def test_a_port_that_is_taken_is_a_warning() -> None:
    with socket.create_server(("", 0)) as taken:
        told = reporter()
        assert told.serve(taken.getsockname()[1]) is None
    (warning,) = told.progress.warnings
    assert "progress is not served on port" in warning


def test_warnings_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    told = reporter()
    with caplog.at_level(logging.WARNING):
        for number in range(MAX_WARNINGS + 5):
            told.warn(f"warning {number}")
    assert len(told.progress.warnings) == MAX_WARNINGS
    assert len(caplog.records) == MAX_WARNINGS + 5


def test_threads_may_report_at_once() -> None:
    told = reporter()
    told.report(Phase.EMBEDDING)

    def work(name: str) -> None:
        for step in range(200):
            told.report(Phase.EMBEDDING, step, 200, **{name: step})

    threads = [threading.Thread(target=work, args=(f"worker{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told.progress.metrics == {f"worker{number}": 199.0 for number in range(4)}


def test_without_a_stream_progress_goes_to_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Reporter("Build", "glyphs-r2").report(Phase.INDEXING)
    captured = capsys.readouterr()
    assert json.loads(captured.err)["phase"] == "Indexing"
    assert not captured.out
