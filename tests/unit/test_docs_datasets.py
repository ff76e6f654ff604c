"""docs/datasets.md names formats, fields, limits and counts that are true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from lockstep_core.datasets.dataset import MAX_AXIS, MAX_TEXT
from lockstep_core.datasets.images import MAX_PIXELS
from lockstep_core.datasets.jsonlines import MAX_LINE
from lockstep_core.datasets.rows import MAX_BYTES, MAX_NAME_BYTES, MAX_ROWS
from lockstep_core.protocol.datasets import DatasetFormat, LabelledDataset, SplitBy
from lockstep_core.protocol.training import TrainingSpec
from lockstep_trainer.validation.cautions import FEW_CLASSES, IMBALANCE
from lockstep_trainer.validation.neighbours import EASY, MAX_DIMENSION, MAX_ITEMS, NEIGHBOURS
from lockstep_trainer.validation.report import REPORT_SCHEMA
from tests.unit.trainer.bad_inputs.table import CORPUS

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/datasets.md").read_text()


def rows(title: str) -> list[str]:
    """First cells of the first table below a heading."""
    section = PAGE.split(f"## {title}\n")[1]
    table = re.search(r"\|---.*\n((?:\|.*\n)+)", section)
    assert table is not None
    return re.findall(r"^\| `?(\w+)", table.group(1), re.MULTILINE)


def test_each_format_and_each_split_has_its_row() -> None:
    assert rows("Formats") == list(map(str, DatasetFormat))
    assert rows("Splits") == list(map(str, SplitBy))


def test_the_example_is_one_that_is_accepted() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    data = LabelledDataset.model_validate(yaml.safe_load(block)["data"])
    assert data.split.by is SplitBy.GROUP


@pytest.mark.parametrize("field", ["batch.classes", "batch.perClass", "encoder.maxLength"])
def test_fields_that_are_named_exist(field: str) -> None:
    assert f"`{field}`" in PAGE
    part, name = field.split(".")
    model = TrainingSpec.model_fields[part].annotation
    assert model is not None
    assert name in {each.alias for each in model.model_fields.values()}  # type: ignore[attr-defined]


def test_numbers_are_those_of_the_code() -> None:
    assert MAX_TEXT == MAX_AXIS == 65_536
    assert (MAX_BYTES, MAX_NAME_BYTES, MAX_LINE) == (16 * 1024**3, 4 * 1024**3, 4 * 1024**2)
    assert (MAX_ROWS, MAX_PIXELS) == (100_000_000, 4096 * 4096)
    assert (FEW_CLASSES, IMBALANCE, EASY, NEIGHBOURS) == (20, 20, 0.98, 5)
    assert (MAX_ITEMS, MAX_DIMENSION) == (6000, 256)
    assert f"of {len(CORPUS)} bad inputs" in re.sub(r"each of (\d+)", r"of \1", PAGE)
    assert REPORT_SCHEMA in PAGE


def test_the_page_is_found_from_the_readme() -> None:
    assert "(docs/datasets.md)" in (ROOT / "README.md").read_text()
