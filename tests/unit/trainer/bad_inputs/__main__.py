"""Prints what `lockstep-train validate` says of each bad input: the corpus, for people."""

from __future__ import annotations

import sys
import tempfile
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from lockstep_trainer.commands.validate import validate
from tests.unit.trainer.bad_inputs.corner import Corner
from tests.unit.trainer.bad_inputs.table import CORPUS


def main() -> int:
    sys.stderr = sys.stdout
    with tempfile.TemporaryDirectory(prefix="bad-inputs-") as folder:
        for number, bad in enumerate(CORPUS):
            corner = Corner.make(Path(folder) / str(number))
            bad.make(corner)
            print(f"\n== {bad.name}", flush=True)
            with redirect_stdout(StringIO()):
                validate(corner.config_file())
    print(f"\n{len(CORPUS)} bad inputs")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
