"""Numbers of a training spec: Kubernetes forbids floats, so they travel as decimal strings."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

PositiveDecimal = Annotated[
    str,
    StringConstraints(
        pattern=r"^(0\.[0-9]{0,8}[1-9]|[1-9][0-9]{0,3}(\.[0-9]{1,8})?)$", max_length=13
    ),
]
