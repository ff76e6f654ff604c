"""Which array, column or field holds which part of an item."""

from __future__ import annotations

from dataclasses import dataclass

from lockstep_core.protocol.datasets import ColumnsSpec, DatasetFormat, DatasetSpec


@dataclass(frozen=True)
class Columns:
    """Names of the parts. `needed` are those without which the set is refused."""

    input: str
    label: str
    id: str
    group: str | None
    needed: frozenset[str]

    @classmethod
    def of(cls, spec: DatasetSpec, *, need_labels: bool) -> Columns:
        """The names that `spec` gives, else those that are usual for its format."""
        plural = "s" if spec.format is DatasetFormat.NPZ else ""
        chosen = spec.columns or ColumnsSpec()
        columns = cls(
            input=chosen.input or f"input{plural}",
            label=chosen.label or f"label{plural}",
            id=chosen.id or f"id{plural}",
            group=chosen.group,
            needed=frozenset(),
        )
        # A name that was given means that it is wanted; a usual one may be absent.
        needed = {columns.input, *filter(None, (chosen.label, chosen.id, chosen.group))}
        if need_labels:
            needed.add(columns.label)
        return cls(columns.input, columns.label, columns.id, columns.group, frozenset(needed))

    @property
    def names(self) -> tuple[str, ...]:
        """Labels, ids and groups: what is text whatever the items are."""
        return tuple(dict.fromkeys(filter(None, (self.label, self.id, self.group))))

    @property
    def all(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.input, *self.names)))


def missing(columns: Columns, name: str) -> str:
    """The fix for a needed column that the set does not have."""
    for part in ("input", "label", "id", "group"):
        if getattr(columns, part) == name:
            return f"add `{name}`, or name another with columns.{part}"
    return f"add `{name}`"
