"""The part of a pod that a user may set: small CRDs, and nothing that breaks `restricted`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema

from lockstep_core.protocol.base import Contract, rule, validations
from lockstep_core.protocol.storage import ObjectName

_QUANTITY = (
    r"^\+?([0-9]{1,19}(\.[0-9]{0,9})?|\.[0-9]{1,9})"
    r"([numkMGTPE]|[KMGTPE]i|[eE][-+]?[0-9]{1,2})?$"
)


def _as_text(quantity: Any) -> Any:
    """YAML reads `cpu: 1` as a number; Kubernetes takes either."""
    is_number = isinstance(quantity, int) and not isinstance(quantity, bool)
    return str(quantity) if is_number else quantity


# As Kubernetes takes it, but for a minus.
Quantity = Annotated[
    str,
    BeforeValidator(_as_text),
    StringConstraints(pattern=_QUANTITY, min_length=1, max_length=24),
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": _QUANTITY,
            "minimum": 0,
            "maxLength": 24,
        }
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


# An API server before 1.34 takes a number or text for 3 MB long whatever `maxLength` says, and
# refuses a rule, or rules together, by what that could cost: a rule reads each value once or twice.
_ORDINARY = "['cpu', 'memory', 'ephemeral-storage']"
# A number or text, as text.
_REQUEST, _LIMIT = "string(self.requests[name])", "string(self.limits[name])"


def _key_rule(field: str) -> dict[str, str]:
    """Kubernetes refuses a pod that asks for another resource."""
    return rule(
        f"!has(self.{field}) || self.{field}.all(name, name in {_ORDINARY}"
        " || name.startsWith('hugepages-') || name.matches('^[^/]+/[^/]+$'))",
        f"keys of `{field}` must be `cpu`, `memory`, `ephemeral-storage`, `hugepages-` and a size,"
        " or a name with a domain such as `nvidia.com/gpu`",
        f".{field}",
    )


class Resources(Contract):
    """Compute resources of the program's container."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            _key_rule("requests"),
            _key_rule("limits"),
            rule(
                "!has(self.limits) || self.limits.all(name, !name.contains('/')"
                " || type(self.limits[name]) == int || quantity(self.limits[name]).isInteger())",
                "`limits` of an extended resource such as `nvidia.com/gpu` must be whole numbers"
                " such as `1`: Kubernetes gives out no part of one",
                ".limits",
            ),
            rule(
                "!has(self.requests) || !has(self.limits) ||"
                f" {_ORDINARY}.all(name, !(name in self.requests) || !(name in self.limits)"
                f" || !isQuantity({_REQUEST}) || !isQuantity({_LIMIT})"
                f" || quantity({_REQUEST}).compareTo(quantity({_LIMIT})) <= 0)",
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


_PART = "[a-z0-9]+([._-]+[a-z0-9]+)*"
# As container runtimes read it: host, path, tag, digest.
_IMAGE = (
    "^([a-zA-Z0-9]([-a-zA-Z0-9.]*[a-zA-Z0-9])?(:[0-9]{1,5})?/)?"
    f"{_PART}(/{_PART})*"
    "(:[a-zA-Z0-9_][-a-zA-Z0-9_.]{0,127})?"
    "(@sha256:[0-9a-f]{64}|@sha512:[0-9a-f]{128})?$"
)


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
            rule(
                f"!has(self.image) || self.image.matches('{_IMAGE}')",
                "`image` must be a name that can be pulled, such as `ghcr.io/team/encoder:1.4` or"
                " `localhost:5000/encoder@sha256:` and 64 hex digits: path in lower case, one tag",
                ".image",
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
