"""Who splits the requests between releases, and the HTTPRoute that says it to a Gateway."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from lockstep_core.protocol.base import Contract, rule, validations


class RouterName(StrEnum):
    """`Replicas`: the share of ready pods. `GatewayAPI`: the weights of an HTTPRoute."""

    REPLICAS = "Replicas"
    GATEWAY_API = "GatewayAPI"


_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_DNS_NAME = f"{_LABEL}([.]{_LABEL})*"


# Rules and not patterns of the fields, here and below: what an older schema took stays readable.
class ParentRef(Contract):
    """The Gateway that the HTTPRoute attaches to."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            *(
                rule(
                    f"!has(self.{cel}) || self.{cel}.matches('^{pattern}$')",
                    f"`{field}` must be the name of {what}: lower-case letters, digits and dashes,"
                    f" such as `{example}`",
                    f".{field}",
                )
                for field, cel, pattern, what, example in (
                    ("name", "name", _DNS_NAME, "a Gateway", "edge"),
                    # A reserved word of CEL, which is escaped so.
                    ("namespace", "__namespace__", _LABEL, "its namespace", "infra"),
                    ("sectionName", "sectionName", _DNS_NAME, "one of its listeners", "web"),
                )
            )
        )
    )

    name: Annotated[str, StringConstraints(min_length=1, max_length=253)] = Field(
        description="Name of the Gateway."
    )
    namespace: Annotated[str, StringConstraints(min_length=1, max_length=63)] | None = Field(
        default=None, description="Its namespace; unset: that of the model."
    )
    section_name: Annotated[str, StringConstraints(min_length=1, max_length=253)] | None = Field(
        default=None, description="Its listener; unset: all of them."
    )


class Mirroring(StrEnum):
    """Whose word it is that a Gateway can copy requests: `Listed`, its class's; `Trusted`, yours
    where the class says nothing at all."""

    LISTED = "Listed"
    TRUSTED = "Trusted"


class GatewayRoute(Contract):
    """The HTTPRoute that the operator owns."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(
                "self.parentRefs.all(p, self.parentRefs.filter(q, q.name == p.name"
                " && (has(q.__namespace__) ? q.__namespace__ : '') =="
                " (has(p.__namespace__) ? p.__namespace__ : '')"
                " && (!has(q.sectionName) || !has(p.sectionName)"
                " || q.sectionName == p.sectionName)).size() == 1)",
                "`parentRefs` must name each Gateway once, or each time with another"
                " `sectionName`: remove the other",
                ".parentRefs",
            ),
            rule(
                f"!has(self.hostnames) || self.hostnames.all(h, h.matches('^([*][.])?{_DNS_NAME}$')"
                " && !h.matches('^[0-9.]+$'))",
                "`hostnames` must be host names without scheme, port, path and capitals, such as"
                " `search.example` or `*.search.example`; an address is none",
                ".hostnames",
            ),
        )
    )

    parent_refs: list[ParentRef] = Field(
        min_length=1,
        max_length=4,
        description="The Gateways that it attaches to.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    hostnames: list[Annotated[str, StringConstraints(min_length=1, max_length=253)]] = Field(
        default_factory=list,
        max_length=16,
        description="Host names of the route; none: all.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    # None and not Listed: what a spec leaves out must not change the hash of its steps.
    mirroring: Mirroring | None = Field(
        default=None,
        description="Where requests are copied. `Listed` (unset): where the Gateway's class lists"
        " that it can. `Trusted`: also where it lists no feature at all, as Envoy Gateway's does.",
    )


class TrafficSpec(Contract):
    """Who splits the requests between stable and candidate."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(
                "has(self.router) && self.router == 'GatewayAPI' ? has(self.gateway)"
                " : !has(self.gateway)",
                "`gateway` must be set with `router: GatewayAPI`, and only with it",
                ".gateway",
            )
        )
    )

    router: RouterName = Field(
        default=RouterName.REPLICAS,
        description="`Replicas`: the share of ready pods. `GatewayAPI`: weights of an HTTPRoute.",
    )
    gateway: GatewayRoute | None = Field(default=None, description="The HTTPRoute.")
