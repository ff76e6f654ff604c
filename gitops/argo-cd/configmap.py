"""Writes `argocd-cm.yaml`: the Lua files of this folder as Argo CD's ConfigMap takes them.

`python gitops/argo-cd/configmap.py` writes it, `--check` says whether it is current. Argo CD runs
each script alone, so what several scripts need is a file of `parts`: a line `-- include NAME` is
replaced by it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
TARGET = HERE / "argocd-cm.yaml"
GROUP = "lockstep.dev"
KINDS = ("EmbeddingModel", "VectorIndex", "EmbeddingRelease", "DriftPolicy")
ACTIONS = ("promote", "abort", "rollback", "retry", "pause", "resume")
HEADER = """# Teaches Argo CD the health and the actions of Lockstep's kinds. Merge it into its own:
#   kubectl -n argocd patch configmap argocd-cm --patch-file gitops/argo-cd/argocd-cm.yaml
# Made from the Lua files beside it by configmap.py.
"""
_INCLUDE = re.compile(r"^-- include (\w+)\n", re.MULTILINE)


class _Block(str):
    """Text that is written as a block, as people read it."""


def _represent(dumper: yaml.SafeDumper, text: _Block) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style="|")


class _Dumper(yaml.SafeDumper):
    pass


_Dumper.add_representer(_Block, _represent)


def _dump(value: Any) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=1000)


def _script(path: Path) -> _Block:
    """A script as Argo CD runs it, with its parts in it."""

    def part(line: re.Match[str]) -> str:
        return (HERE / "parts" / f"{line[1]}.lua").read_text()

    return _Block(_INCLUDE.sub(part, path.read_text()))


def _actions() -> str:
    folder = HERE / "actions"
    definitions = [
        {"name": name, "action.lua": _script(folder / f"{name}.lua")} for name in ACTIONS
    ]
    discovery = _script(folder / "discovery.lua")
    return _dump({"discovery.lua": discovery, "definitions": definitions})


def render() -> str:
    """The whole file."""
    health = _script(HERE / "health.lua")
    data: dict[str, str] = {
        f"resource.customizations.health.{GROUP}_{kind}": health for kind in KINDS
    }
    data[f"resource.customizations.actions.{GROUP}_EmbeddingModel"] = _Block(_actions())
    metadata = {"name": "argocd-cm", "labels": {"app.kubernetes.io/part-of": "argocd"}}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    return HEADER + _dump(body)


def main() -> int:
    if "--check" in sys.argv[1:]:
        current = TARGET.exists() and TARGET.read_text() == render()
        print(f"{TARGET.name} is {'current' if current else 'not current: run configmap.py'}")
        return 0 if current else 1
    TARGET.write_text(render())
    return 0


if __name__ == "__main__":
    sys.exit(main())
