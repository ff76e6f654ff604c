"""The base of every contract model, and the scalar types that they share."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

# Kubernetes forbids floats in specs by convention: fractions travel as decimal strings.
DecimalString = Annotated[
    str, StringConstraints(pattern=r"^[0-9]{1,9}(\.[0-9]{1,9})?$", max_length=19)
]
UnitFraction = Annotated[
    str, StringConstraints(pattern=r"^(0(\.[0-9]{1,9})?|1(\.0{1,9})?)$", max_length=11)
]
Sha256 = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$", max_length=71)]
SpaceID = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{12}$", max_length=12)]
# Names of our kinds become prefixes of Service names, so they are DNS-1035 labels of at most 30.
KindName = Annotated[
    str, StringConstraints(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=30)
]
ReleaseName = Annotated[
    str, StringConstraints(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?-r[1-9][0-9]{0,6}$", max_length=40)
]
URI = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+://", min_length=4, max_length=1024)]


class Contract(BaseModel):
    """Immutable, camelCase on the wire, unknown fields refused."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True
    )

    def to_wire(self) -> dict[str, Any]:
        """The JSON-ready form: camelCase keys, absent fields left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def replace(self, **fields: Any) -> Self:
        """A copy in which these fields, by their Python names, have other values.

        They are checked like parsed ones. Raises `pydantic.ValidationError` for a field that there
        is none of, and for a value that the field does not take.
        """
        known = {name: getattr(self, name) for name in self.model_fields_set}
        return type(self)(**(known | fields))


def validations(*rules: dict[str, str]) -> dict[str, Any]:
    """`json_schema_extra` that carries CEL rules into the CRD schema of the model."""
    return {"x-kubernetes-validations": list(rules)}


def rule(expression: str, message: str, field_path: str | None = None) -> dict[str, str]:
    """One CEL rule. `message` says what must hold, with field names in back-quotes."""
    entry = {"rule": expression, "message": message}
    if field_path:
        entry["fieldPath"] = field_path
    return entry


def plain_path_rule(what: str, example: str) -> dict[str, str]:
    """`uri` must name `what` by a path that no store and no file system reads in two ways."""
    return rule(
        "!self.uri.matches('(^file://[^/]|[^:/]//|/[.][.]?(/|$)|/$)')",
        f"`uri` must name {what} by a plain absolute path, such as `{example}`: no `//`, `.` or"
        " `..` within, no slash at its end",
        ".uri",
    )


__all__ = [
    "URI",
    "Contract",
    "DecimalString",
    "Field",
    "KindName",
    "ReleaseName",
    "Sha256",
    "SpaceID",
    "UnitFraction",
    "plain_path_rule",
    "rule",
    "validations",
]
