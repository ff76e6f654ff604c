"""The configuration from flags and the environment."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lockstep_operator.__main__ import config_from

pytestmark = pytest.mark.unit

IMAGES = ["--trainer-image", "t:1", "--encoder-image", "e:1", "--indexer-image", "i:1"]


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
        ([*IMAGES, "--drift-releases-per-hour", "-1"], "--drift-releases-per-hour"),
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
