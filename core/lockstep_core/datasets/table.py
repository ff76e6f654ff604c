"""What a file was found to hold, and the checks that hold for every format of rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from lockstep_core.datasets.columns import Columns
from lockstep_core.datasets.dataset import (
    Dataset,
    Inputs,
    Place,
    Strings,
    duplicate_problems,
    name_problems,
    row_number,
    value_problems,
)
from lockstep_core.datasets.problems import DatasetError, Problem, problem
from lockstep_core.protocol.base import Sha256


@dataclass(frozen=True)
class Table:
    """Arrays as they were read: those of columns that could be; and the problems of the others."""

    inputs: Inputs | None
    names: Mapping[str, Strings]
    problems: tuple[Problem, ...]
    place: Place = row_number


@dataclass(frozen=True)
class Reading:
    """A set that was read, sound or not. A part with a problem of its own is None.

    So a validation can say all at once: what is wrong with the labels is known however many items
    are damaged.
    """

    digest: Sha256
    inputs: Inputs | None
    labels: Strings | None
    ids: Strings | None
    groups: Strings | None
    problems: tuple[Problem, ...] = field(default=())

    def dataset(self) -> Dataset:
        """Raises DatasetError with every problem."""
        if self.problems or self.inputs is None or self.labels is None or self.ids is None:
            raise DatasetError(self.problems)
        return Dataset(
            inputs=np.ascontiguousarray(self.inputs),
            labels=self.labels,
            ids=self.ids,
            digest=self.digest,
            groups=self.groups,
        )


def checked(table: Table, columns: Columns, digest: Sha256, *, need_labels: bool) -> Reading:
    """`table` with all that is wrong with its values."""
    problems = list(table.problems)
    sound: dict[str, Strings] = {}
    for name in columns.names:
        if (values := table.names.get(name)) is None:
            continue
        may_be_empty = name == columns.label and not need_labels
        wrong = name_problems(name, values, may_be_empty=may_be_empty, place=table.place)
        if name == columns.id and not wrong:
            wrong = duplicate_problems(values, name)
        problems += wrong
        if not wrong:
            sound[name] = values
    inputs = table.inputs
    if inputs is not None:
        problems += (wrong := value_problems(inputs, columns.input, table.place))
        problems += _length_problems(columns.input, len(inputs), table.names)
        inputs = None if wrong else inputs
    rows = max(
        (len(each) for each in (table.inputs, *table.names.values()) if each is not None), default=0
    )
    labels = sound.get(columns.label)
    if labels is None and columns.label not in {*columns.needed, *table.names}:
        labels = np.full(rows, "", dtype=np.str_)
    ids = sound.get(columns.id)
    if ids is None and columns.id not in {*columns.needed, *table.names}:
        ids = np.arange(rows).astype(np.str_)
    groups = None if columns.group is None else sound.get(columns.group)
    return Reading(digest, inputs, labels, ids, groups, tuple(problems))


def _length_problems(item: str, rows: int, names: Mapping[str, Strings]) -> list[Problem]:
    fix = f"give one entry per row of `{item}`"
    return [
        problem(f"`{name}` has {len(values)} rows, `{item}` {rows}", (), fix, count=1)
        for name, values in names.items()
        if len(values) != rows
    ]
