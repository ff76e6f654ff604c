"""Both reports as files of the artifact."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lockstep_trainer.evaluation import Floats
from lockstep_trainer.report.page import render
from lockstep_trainer.validation import TrainingData

REPORT_FILE = "report.json"
PAGE_FILE = "report.html"


def write_reports(
    report: dict[str, Any],
    data: TrainingData,
    embeddings: Floats,
    directory: Path,
    warn: Callable[[str], None],
) -> tuple[str, ...]:
    """Names of the files that were written; `embeddings` [N, D] are of `data.eval_rows`."""
    numbers = json.dumps(report, indent=1, ensure_ascii=False) + "\n"
    (directory / REPORT_FILE).write_text(numbers, encoding="utf-8")
    try:
        page = render(report, data, embeddings)
    # A page must not cost the hours of training that it is about.
    except Exception as error:
        warn(f"{PAGE_FILE} was not written: {type(error).__name__}: {error}")
        return (REPORT_FILE,)
    (directory / PAGE_FILE).write_text(page, encoding="utf-8")
    return (REPORT_FILE, PAGE_FILE)
