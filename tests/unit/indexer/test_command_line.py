from __future__ import annotations

import json
from pathlib import Path

import pytest

from lockstep_core.protocol.config import BuildConfig, IndexServerConfig
from lockstep_core.protocol.environment import CONFIG_VARIABLE, TERMINATION_PATH_VARIABLE
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.result import Result
from lockstep_indexer.__main__ import main

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("command", "kind"), [("build", BuildConfig), ("serve", IndexServerConfig)]
)
def test_help_teaches_a_config_that_is_valid(
    command: str, kind: type[BuildConfig | IndexServerConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0 and "exit codes:" in text
    example, _ = json.JSONDecoder().raw_decode(text[text.index('{"release"') :])
    digests = dict.fromkeys(("artifactDigest", "buildDigest"), "sha256:" + "0" * 64)
    kind.model_validate({**example, **{k: v for k, v in digests.items() if k in example}})


@pytest.mark.parametrize("command", ["build", "serve"])
@pytest.mark.parametrize(
    ("config", "says"),
    [(None, CONFIG_VARIABLE), ("{", "JSON"), ('{"release": "Letters"}', "release")],
    ids=["absent", "broken", "wrong"],
)
def test_a_bad_config_is_exit_2_and_names_the_field(
    command: str, config: str | None, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TERMINATION_PATH_VARIABLE, str(tmp_path / "termination"))
    if config is None:
        monkeypatch.delenv(CONFIG_VARIABLE, raising=False)
    else:
        monkeypatch.setenv(CONFIG_VARIABLE, config)
    monkeypatch.setattr("lockstep_core.jobs.stopping.Stopping.listen", lambda _: None)
    assert main([command]) == ExitCode.BAD_CONFIG
    result = Result.from_json((tmp_path / "termination").read_text())
    assert result.exit_code is ExitCode.BAD_CONFIG and says in result.message
