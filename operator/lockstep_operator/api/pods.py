"""The part of a pod that a user may set: small CRDs, and nothing that breaks `restricted`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import ConfigDict, Field, StringConstraints

from lockstep_core.protocol.base import Contract, rule, validations
from lockstep_core.protocol.storage import ObjectName

Quantity = Annotated[
    str,
    StringConstraints(
        pattern=r"^[0-9]{1,12}(\.[0-9]{1,9})?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$", min_length=1, max_length=24
    ),
]
ResourceName = Annotated[str, StringConstraints(min_length=1, max_length=253)]
_LABEL_NAME = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_LABEL_KEY = rf"^([a-z0-9]([-a-z0-9.]{{0,251}}[a-z0-9])?/)?{_LABEL_NAME}$"
LabelKey = Annotated[str, StringConstraints(pattern=_LABEL_KEY, min_length=1, max_length=317)]
LabelValue = Annotated[str, StringConstraints(pattern=rf"^({_LABEL_NAME})?$", max_length=63)]
ImageReference = Annotated[
    str, StringConstraints(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._/:@-]*$", min_length=1, max_length=512)
]


class Resources(Contract):
    """Compute resources of the program's container."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(
                "!has(self.requests) || !has(self.limits) || self.requests.all(name,"
                " !(name in self.limits) || !isQuantity(self.requests[name])"
                " || !isQuantity(self.limits[name])"
                " || quantity(self.requests[name]).compareTo(quantity(self.limits[name])) <= 0)",
                "`requests` must not exceed `limits`",
                ".requests",
            ),
            rule(
                "!has(self.requests) || self.requests.all(name, !name.contains('/')"
                " || (has(self.limits) && name in self.limits"
                " && self.limits[name] == self.requests[name]))",
                "`requests` of an extended resource such as `nvidia.com/gpu` must equal its"
                " `limits`: set it in `limits` alone",
                ".requests",
            ),
        )
    )

    requests: dict[ResourceName, Quantity] = Field(
        default_factory=dict, max_length=16, description="Resources that are reserved."
    )
    limits: dict[ResourceName, Quantity] = Field(
        default_factory=dict,
        max_length=16,
        description="Resources that are never exceeded. Extended resources such as"
        " `nvidia.com/gpu` go here.",
    )


class TolerationOperator(StrEnum):
    EXISTS = "Exists"
    EQUAL = "Equal"


class TaintEffect(StrEnum):
    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class Toleration(Contract):
    """A taint that the pod tolerates."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(
                "self.operator != 'Exists' || !has(self.value)",
                "`value` must not be set when `operator` is Exists",
                ".value",
            )
        )
    )

    key: LabelKey = Field(description="Key of the taint.")
    operator: TolerationOperator = Field(
        default=TolerationOperator.EXISTS, description="`Exists` or `Equal`."
    )
    value: LabelValue | None = Field(default=None, description="Value, when `operator` is Equal.")
    effect: TaintEffect | None = Field(default=None, description="Effect; any when left out.")


class PodTemplate(Contract):
    """What a user may set of a program's pod."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            # The structural schema bounds the values of a map, never its keys.
            rule(
                "!has(self.nodeSelector)"
                f" || self.nodeSelector.all(key, key.matches('{_LABEL_KEY}'))",
                "keys of `nodeSelector` must be label keys such as `kubernetes.io/arch`",
                ".nodeSelector",
            ),
        )
    )

    image: ImageReference | None = Field(
        default=None, description="Image of the program; the operator's default when left out."
    )
    resources: Resources = Field(
        default_factory=Resources, description="Resources of the program's container."
    )
    node_selector: dict[LabelKey, LabelValue] = Field(
        default_factory=dict, max_length=32, description="Labels that the node must have."
    )
    tolerations: list[Toleration] = Field(
        default_factory=list, max_length=32, description="Taints that the pod tolerates."
    )
    priority_class_name: ObjectName | None = Field(
        default=None, description="PriorityClass of the pod."
    )

    def to_overrides(self) -> dict[str, Any]:
        """The fields of a pod spec (not of its container) that this template sets."""
        fields = self.to_wire()
        return {
            key: fields[key]
            for key in ("nodeSelector", "tolerations", "priorityClassName")
            if fields.get(key)
        }
