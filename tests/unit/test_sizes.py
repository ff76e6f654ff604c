"""Modules and functions of the product stay small enough to be read at once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
PRODUCT = (
    "core",
    "operator",
    "trainer-image",
    "encoder-image",
    "monitor-image",
    "indexer-image",
    "kubectl-lockstep",
    "devcluster",
    "examples",
    "benchmarks",
    "gitops",
)
MODULE_LINES, FUNCTION_LINES = 300, 40


def modules(folder: str) -> list[Path]:
    return [
        path
        for path in sorted((ROOT / folder).rglob("*.py"))
        if not {"build", ".venv", "node_modules"} & set(path.relative_to(ROOT).parts)
    ]


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Names and lines, docstrings among them and decorators not."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield node.name, node.end_lineno - node.lineno + 1


@pytest.mark.parametrize("folder", PRODUCT)
def test_no_module_is_long(folder: str) -> None:
    lines = {str(path): len(path.read_text().splitlines()) for path in modules(folder)}
    assert {path: count for path, count in lines.items() if count > MODULE_LINES} == {}


@pytest.mark.parametrize("folder", PRODUCT)
def test_no_function_is_long(folder: str) -> None:
    lines = [(path.name, *each) for path in modules(folder) for each in functions(path)]
    assert [entry for entry in lines if entry[2] > FUNCTION_LINES] == []


def test_the_product_is_what_is_measured() -> None:
    assert all(modules(folder) for folder in PRODUCT)
