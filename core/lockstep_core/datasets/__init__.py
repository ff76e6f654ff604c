"""Labelled sets of items: loading, checking and splitting them."""

from lockstep_core.datasets.dataset import Dataset, Inputs, Strings
from lockstep_core.datasets.loading import load_dataset
from lockstep_core.datasets.problems import DatasetError, Problem
from lockstep_core.datasets.splits import check_trainable, flatten_raw, split_by_class

__all__ = [
    "Dataset",
    "DatasetError",
    "Inputs",
    "Problem",
    "Strings",
    "check_trainable",
    "flatten_raw",
    "load_dataset",
    "split_by_class",
]
