"""Bad inputs: how each is made, how `validate` ends, and what its message has to hold.

`python -m tests.unit.trainer.bad_inputs` prints what is said of each of them.
"""

from __future__ import annotations

from tests.unit.trainer.bad_inputs.archives import IN_NPZ
from tests.unit.trainer.bad_inputs.classes import IN_CLASSES
from tests.unit.trainer.bad_inputs.configs import IN_CONFIG
from tests.unit.trainer.bad_inputs.folders import IN_FOLDERS
from tests.unit.trainer.bad_inputs.jsons import IN_LINES
from tests.unit.trainer.bad_inputs.making import Bad
from tests.unit.trainer.bad_inputs.parquets import IN_PARQUET

CORPUS: tuple[Bad, ...] = (
    *IN_CONFIG,
    *IN_NPZ,
    *IN_PARQUET,
    *IN_LINES,
    *IN_FOLDERS,
    *IN_CLASSES,
)
