"""Writes what an operator of one version leaves in a cluster into files, for later ones to read.

Run it out of a checkout of that version, before the contracts change; VERSION is that of the
package and the commit:

    cd CHECKOUT
    PYTHONPATH=.:core:operator python tests/unit/decide/frozen/make.py VERSION

The files of `0.1.0-a5ed027` were made so out of a checkout of commit a5ed027, by this script from
a later one (its path was given in full), with Python 3.11 and pydantic 2.14. Files that were made
once are never made again: they are what that version wrote.

It prints the fields of statuses and the stages that no file shows.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from contracts import SPECS, STATUSES, contracts, fields, paths_of, required_fields
from moments import MOMENTS
from pydantic import ValidationError

from lockstep_operator.api.release import Stage
from tests.unit.decide.worlds import OWN, World

WIDTH = 180


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("version", help="names the folder, such as 0.1.0-a5ed027")
    parser.add_argument("--to", type=Path, default=Path(__file__).parent, help="its parent")
    arguments = parser.parse_args()
    folder = arguments.to / arguments.version
    folder.mkdir(parents=True)
    seen: set[str] = set()
    stages: set[str] = set()
    for name, make in MOMENTS.items():
        moment = frozen(make())
        (folder / f"{name}.json").write_text(pretty(moment) + "\n")
        for raw in moment["objects"]:
            seen.update(paths_of(raw["status"], f"{raw['kind']}.status"))
            if raw["kind"] == "EmbeddingRelease":
                stages.add(raw["status"].get("stage"))
    (folder / "required_fields.json").write_text(pretty(required_fields()) + "\n")
    print(f"{len(MOMENTS)} moments in {folder}")
    print("fields that no status shows:", ", ".join(never_seen(seen)) or "none")
    print("stages that no record shows:", ", ".join(sorted(set(Stage) - stages)) or "none")
    return 0


def frozen(world: World) -> dict[str, Any]:
    """Our objects in it, when that was, and which of their specs that version refuses to read."""
    own = [raw for (kind, _), raw in sorted(world.objects.items()) if kind in OWN]
    return {
        "now": world.text(),
        "gatewayAPI": world.gateway_api,
        "invalid": [f"{raw['kind']}/{raw['metadata']['name']}" for raw in own if is_invalid(raw)],
        "objects": own,
    }


def is_invalid(raw: dict[str, Any]) -> bool:
    try:
        SPECS[raw["kind"]].model_validate(raw["spec"])
    except ValidationError:
        return True
    return False


def never_seen(seen: set[str]) -> list[str]:
    return [
        f"{path}.{name}"
        for kind, root in STATUSES.items()
        for path, model in contracts(root, f"{kind}.status")
        for name, _ in fields(model)
        if f"{path}.{name}" not in seen
    ]


def pretty(value: Any, indent: int = 0) -> str:
    """JSON whose objects and lists stand on one line each where they fit."""
    line = json.dumps(value)
    if not isinstance(value, dict | list) or len(line) + indent + 1 <= WIDTH:
        return line
    space = " " * (indent + 1)
    if isinstance(value, list):
        rows = [space + pretty(inner, indent + 1) for inner in value]
    else:
        rows = [f"{space}{json.dumps(k)}: {pretty(v, indent + 1)}" for k, v in value.items()]
    first, last = ("[", "]") if isinstance(value, list) else ("{", "}")
    return f"{first}\n" + ",\n".join(rows) + f"\n{' ' * indent}{last}"


if __name__ == "__main__":
    sys.exit(main())
