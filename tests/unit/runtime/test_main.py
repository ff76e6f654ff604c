"""Small parts: errors, events' brakes, logs, metrics, health, lease times, configuration."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client import generate_latest

from devcluster.host import packages
from lockstep_operator.__main__ import config_from
from lockstep_operator.api.kinds import JOB, POD, resource_of
from lockstep_operator.runtime import errors, metrics
from lockstep_operator.runtime import logging as logs
from lockstep_operator.runtime.events import TokenBucket
from lockstep_operator.runtime.health import HealthServer
from lockstep_operator.runtime.leader import LeaseTimes

pytestmark = pytest.mark.unit

PROMTOOL = packages.found("promtool")

IMAGES = ["--trainer-image", "t:1", "--encoder-image", "e:1", "--indexer-image", "i:1"]


@pytest.mark.parametrize(
    ("code", "reason", "message", "kind"),
    [
        (404, "NotFound", "", errors.NotFound),
        (409, "AlreadyExists", "", errors.AlreadyExists),
        (409, "Conflict", "", errors.Conflict),
        (403, "Forbidden", "exceeded quota", errors.Refused),
        (422, "Invalid", "spec.x: required", errors.Refused),
        (422, "", "testing value /metadata/uid failed", errors.Conflict),
        (410, "Expired", "", errors.Unavailable),
        (429, "TooManyRequests", "", errors.Unavailable),
        (503, "ServiceUnavailable", "", errors.Unavailable),
    ],
)
def test_answers_are_sorted_by_what_to_do(
    code: int, reason: str, message: str, kind: type[errors.ApiError]
) -> None:
    body = json.dumps({"reason": reason, "message": message}).encode()
    assert type(errors.error_from(code, body, {"Retry-After": "7"})) is kind


def test_a_proxys_page_is_no_crash() -> None:
    error = errors.error_from(502, b"<html>bad gateway</html>", {})
    assert isinstance(error, errors.Unavailable)
    assert "bad gateway" in str(error)


def test_retry_after_is_kept() -> None:
    assert errors.error_from(429, b"{}", {"Retry-After": "7"}).retry_after == 7.0


def test_the_token_bucket_bounds_bursts_and_rates() -> None:
    clock = [0.0]
    bucket = TokenBucket(burst=3, per_second=2.0, clock=lambda: clock[0])
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    clock[0] = 0.5
    assert [bucket.take(), bucket.take()] == [True, False]


def test_a_log_line_is_one_line_of_json_with_its_facts() -> None:
    record = logging.makeLogRecord(
        {"name": "x", "levelname": "INFO", "msg": "stage %s", "args": ("Training",), "model": "a/b"}
    )
    line = logs.JsonFormatter().format(record)
    parsed = json.loads(line)
    assert "\n" not in line
    assert (parsed["message"], parsed["model"], parsed["level"]) == (
        "stage Training",
        "a/b",
        "info",
    )
    assert "model=a/b" in logs.TextFormatter().format(record)


@pytest.mark.skipif(PROMTOOL is None, reason="no promtool: `make promtool` fetches it")
def test_promtool_accepts_the_metrics() -> None:
    metrics.WATCH_AGES.touch("Job")
    metrics.API_CALLS.labels(verb="get", resource="jobs", code="200").inc()
    checked = subprocess.run(
        [str(PROMTOOL), "check", "metrics"],
        input=generate_latest(metrics.REGISTRY),
        capture_output=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr.decode() + checked.stdout.decode()


def test_names_of_metrics_are_units_and_totals() -> None:
    for family in metrics.REGISTRY.collect():
        if family.name.startswith("process_"):
            continue
        assert family.name.startswith("lockstep_"), family.name
        assert family.documentation.endswith("."), family.name


@pytest.fixture
def probes() -> Iterator[tuple[HealthServer, dict[str, str | None]]]:
    reasons: dict[str, str | None] = {"healthy": None, "ready": "listing"}
    server = HealthServer(
        host="127.0.0.1",
        port=0,
        healthy=lambda: reasons["healthy"],
        ready=lambda: reasons["ready"],
    )
    server.start()
    yield server, reasons
    server.stop()


def fetch(server: HealthServer, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_probes_say_why(probes: tuple[HealthServer, dict[str, str | None]]) -> None:
    server, reasons = probes
    assert fetch(server, "/healthz") == (200, "ok\n")
    assert fetch(server, "/readyz") == (503, "listing\n")
    reasons["healthy"] = "the main loop stands still for 31 s"
    assert fetch(server, "/healthz") == (503, "the main loop stands still for 31 s\n")
    assert fetch(server, "/nowhere")[0] == 404
    assert "lockstep_leader" in fetch(server, "/metrics")[1]


@pytest.mark.parametrize("duration", [3.0, 15.0, 60.0])
def test_every_write_ends_before_another_may_lead(duration: float) -> None:
    times = LeaseTimes(duration)
    assert times.write_window + times.write_timeout <= duration
    assert times.renew_every < times.write_window < times.renew_deadline < duration
    assert times.poll_every <= 1.0


def test_paths_of_the_api() -> None:
    assert POD.path("ns", "p", "status") == "/api/v1/namespaces/ns/pods/p/status"
    assert JOB.path(None) == "/apis/batch/v1/jobs"
    assert resource_of("batch/v1", "Job") is JOB


def test_the_environment_and_flags_make_a_config() -> None:
    environment = {
        "LOCKSTEP_TRAINER_IMAGE": "t:2",
        "LOCKSTEP_WATCH_NAMESPACES": "a, b",
        "LOCKSTEP_IMAGE_PULL_SECRETS": "one,two",
        "POD_NAME": "operator-0",
        "POD_NAMESPACE": "lockstep-system",
        "LOCKSTEP_HEALTH_PORT": "9000",
    }
    config = config_from(IMAGES[2:], environment)
    assert config.settings.images.trainer == "t:2"
    assert config.settings.image_pull_secrets == ("one", "two")
    assert config.namespaces == ("a", "b")
    assert (config.pod_name, config.pod_namespace) == ("operator-0", "lockstep-system")
    assert config.health_port == 9000
    assert config_from(IMAGES, {}).namespaces == ()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "--trainer-image"),
        ([*IMAGES, "--namespaces", "a,B!"], "B!"),
        ([*IMAGES, "--health-port", "eighty"], "--health-port"),
        ([*IMAGES, "--health-port", "70000"], "out of range"),
        ([*IMAGES, "--lease-seconds", "1"], "--lease-seconds"),
        ([*IMAGES, "--log-level", "loud"], "--log-level"),
        ([*IMAGES, "--log-format", "xml"], "--log-format"),
    ],
)
def test_a_bad_setting_is_named_and_nothing_starts(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        config_from(arguments, {})
    assert stopped.value.code == 2
    assert named in capsys.readouterr().err


def test_help_needs_no_cluster() -> None:
    helped = subprocess.run(
        [sys.executable, "-m", "lockstep_operator", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "LOCKSTEP_TRAINER_IMAGE" in helped.stdout
    assert "KUBECONFIG" in helped.stdout
