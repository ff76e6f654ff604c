"""The options of a server are refused by name, before anything is loaded."""

from __future__ import annotations

import argparse

import pytest

from lockstep_core.serving.options import add_server_options, server_options
from lockstep_core.serving.serve import ServerOptions

pytestmark = pytest.mark.unit


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser()
    add_server_options(found)
    return found


def test_without_options_the_defaults_hold_and_connections_last_five_seconds() -> None:
    found = server_options(parser().parse_args([]))
    assert found == ServerOptions()
    assert found.max_connection_age_seconds == 5.0


def test_options_are_taken_as_given() -> None:
    given = ["--host", "127.0.0.1", "--port", "0", "--drain-seconds", "0.5"]
    found = server_options(parser().parse_args([*given, "--max-connection-age-seconds", "2"]))
    assert found == ServerOptions("127.0.0.1", 0, drain_seconds=0.5, max_connection_age_seconds=2)


@pytest.mark.parametrize(
    "wrong",
    [
        "--port=65536",
        "--port=-1",
        "--drain-seconds=-1",
        "--drain-seconds=nan",
        "--drain-seconds=soon",
        "--max-connection-age-seconds=inf",
    ],
)
def test_a_wrong_option_is_refused_by_name(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args([wrong])
    name, value = wrong.split("=")
    said = capsys.readouterr().err
    assert name in said and value in said
