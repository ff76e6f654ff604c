"""Options of the encoder are refused by name, before anything is loaded."""

from __future__ import annotations

import pytest

from lockstep_encoder.__main__ import main

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("option", ["--max-batch-items", "--max-queue-items"])
@pytest.mark.parametrize("value", ["0", "-2"])
def test_a_wrong_option_is_refused_by_name(
    option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["serve", f"{option}={value}"])
    said = capsys.readouterr().err
    assert option in said and value in said
