"""Resource quantities: the number that one stands for, and the form that the API server stores.

A manifest that says `1000m` is read back as `1`: written as the user has it, it would differ from
the stored object for ever, and every look would cost a write.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from fractions import Fraction

_ANY = re.compile(
    r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?[0-9]{1,3}))?"
)
# The API server stores no larger number: it cuts what is above.
_LARGEST = Fraction(2**63 - 1)
_DECIMAL = {
    name: Fraction(10) ** power
    for name, power in zip(("m", "", *"kMGTPE"), (-3, 0, 3, 6, 9, 12, 15, 18), strict=True)
}
_BINARY = {f"{name}i": Fraction(1024) ** power for power, name in enumerate("KMGTPE", start=1)}
# Sizes that a server may write, and a spec may not.
_SIZES = {**_DECIMAL, **_BINARY, "u": Fraction(10) ** -6, "n": Fraction(10) ** -9}


def amount(quantity: str) -> Fraction | None:
    """The number that any quantity of Kubernetes stands for; None for text that is none."""
    match = _ANY.fullmatch(quantity)
    if match is None:
        return None
    number, suffix, exponent = Fraction(match[1]), match[2] or "", match[3]
    return number * (Fraction(10) ** int(exponent) if exponent else _SIZES[suffix])


def canonical(quantity: str) -> str:
    """The canonical form: no fraction, the largest suffix of its family (k8s `Quantity`).

    An exponent (`2e9`) becomes a suffix (`2G`), which is stored as it is. Raises ValueError for
    text that is no quantity, and for less than nothing.
    """
    value = amount(quantity)
    if value is None or value < 0:
        raise ValueError(f"`{quantity}` must be a quantity such as 500m, 2 or 4Gi")
    value = min(value, _LARGEST)
    if quantity.endswith("i") and value.denominator == 1 and value >= 1024:
        return _largest(value, _BINARY)
    return _decimal(value)


def canonical_all(quantities: Mapping[str, str]) -> dict[str, str]:
    """Every value in canonical form, sorted by resource."""
    return {name: canonical(value) for name, value in sorted(quantities.items())}


def _decimal(value: Fraction) -> str:
    # The API server rounds resources up to thousandths.
    value = Fraction(math.ceil(value * 1000), 1000)
    if value == 0:
        return "0"
    return _largest(value, _DECIMAL)


def _largest(value: Fraction, units: Mapping[str, Fraction]) -> str:
    name, size = max(
        ((name, size) for name, size in units.items() if (value / size).denominator == 1),
        key=lambda unit: unit[1],
        default=("", Fraction(1)),
    )
    return f"{value / size}{name}"
