"""What an object says of itself: its owners, its end, and the config of its program."""

from __future__ import annotations

import json

from lockstep_core.protocol.environment import CONFIG_VARIABLE
from lockstep_operator.api.objects import Object


def owners(raw: Object) -> set[str]:
    """The uids of its owners."""
    return {owner["uid"] for owner in raw["metadata"].get("ownerReferences") or []}


def made_by(replica_set: str) -> list[Object]:
    """The ownerReferences of a pod of a ReplicaSet."""
    return [{"kind": "ReplicaSet", "name": replica_set, "uid": replica_set, "controller": True}]


def job_kind(raw: Object) -> str:
    """`train`, `import`, `evaluate`, `build` or `replay`."""
    return str(raw["metadata"]["labels"]["lockstep.dev/component"])


def is_over(raw: Object) -> bool:
    """Whether a Job has ended, well or not."""
    return any(
        condition["type"] in ("Complete", "Failed")
        for condition in (raw.get("status") or {}).get("conditions") or []
    )


def config_text(container: Object) -> str:
    """The config of a program of ours, JSON, from the environment of its container."""
    return next(str(e["value"]) for e in container["env"] if e["name"] == CONFIG_VARIABLE)


def served_space(raw: Object) -> tuple[str, dict[str, tuple[str, str]]]:
    """The space of an encoder Deployment, and (build, space) of each index it was told."""
    (container,) = raw["spec"]["template"]["spec"]["containers"]
    config = json.loads(config_text(container))
    indexes = {i["name"]: (i["buildDigest"], i["spaceID"]) for i in config.get("indexes", [])}
    return config["spaceID"], indexes


def served_build(raw: Object) -> tuple[str, str]:
    """(build, space) of an index Deployment."""
    (container,) = raw["spec"]["template"]["spec"]["containers"]
    config = json.loads(config_text(container))
    return config["buildDigest"], config["spaceID"]
