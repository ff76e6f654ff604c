"""Labelled sets of items: loading, checking and splitting them."""

from lockstep_core.datasets.baseline import flatten_raw
from lockstep_core.datasets.contents import contents, distinct_items
from lockstep_core.datasets.dataset import Dataset, Inputs, Strings, Texts, is_text
from lockstep_core.datasets.loading import load_dataset, read_dataset
from lockstep_core.datasets.problems import DatasetError, Problem
from lockstep_core.datasets.splits import (
    split,
    split_by_class,
    split_by_group,
    split_by_hash,
    split_parts,
)
from lockstep_core.datasets.table import Reading

__all__ = [
    "Dataset",
    "DatasetError",
    "Inputs",
    "Problem",
    "Reading",
    "Strings",
    "Texts",
    "contents",
    "distinct_items",
    "flatten_raw",
    "is_text",
    "load_dataset",
    "read_dataset",
    "split",
    "split_by_class",
    "split_by_group",
    "split_by_hash",
    "split_parts",
]
