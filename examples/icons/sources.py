"""Icon sets of npm: which ones, fetched once, and what their licences allow."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from examples.workspace import ExampleError, run

VERSIONS = {
    "akar-icons": "1.2.7",
    "ant-design": "1.2.9",
    "bi": "1.2.7",
    "bx": "1.2.3",
    "carbon": "1.2.29",
    "clarity": "1.2.4",
    "eva": "1.2.3",
    "feather": "1.2.1",
    "fluent": "1.2.60",
    "gg": "1.2.2",
    "heroicons": "1.2.3",
    "hugeicons": "1.2.35",
    "icon-park-outline": "1.2.4",
    "iconoir": "1.2.11",
    "ion": "1.2.7",
    "lucide": "1.2.137",
    "majesticons": "1.2.5",
    "material-symbols": "1.2.93",
    "mdi": "1.2.3",
    "mingcute": "1.2.8",
    "octicon": "1.2.36",
    "ph": "1.2.2",
    "pixelarticons": "1.2.9",
    "radix-icons": "1.2.6",
    "tabler": "1.2.41",
    "tdesign": "1.2.19",
    "teenyicons": "1.2.2",
    "uil": "1.2.3",
    "vaadin": "1.2.1",
    "zondicons": "1.2.2",
}
"""Pictograms of one colour for user interfaces: names of the same things in different hands."""

FREE = ("MIT", "Apache-2.0", "ISC", "CC0-1.0", "CC-BY-4.0", "CC-BY-3.0", "OFL-1.1", "Unlicense")
"""Licences whose pictures may be used for anything: nothing non-commercial, no GPL."""


@dataclass(frozen=True)
class IconSet:
    """One set: `icons` maps a name to the inner SVG and its box (left, top, width, height)."""

    prefix: str
    title: str
    version: str
    licence: str
    licence_url: str
    icons: dict[str, tuple[str, tuple[float, float, float, float]]]


def fetch(folder: Path) -> list[Path]:
    """The packages' folders below `folder`, where one call of npm puts all that are missing."""
    packages = [folder / "node_modules" / "@iconify-json" / prefix for prefix in VERSIONS]
    wanted = {f"@iconify-json/{prefix}": version for prefix, version in VERSIONS.items()}
    manifest = json.dumps({"private": True, "dependencies": wanted}, indent=1)
    known = folder / "package.json"
    if known.exists() and known.read_text() == manifest and all(each.is_dir() for each in packages):
        return packages
    folder.mkdir(parents=True, exist_ok=True)
    known.write_text(manifest)
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    run("npm", "install", *quiet, cwd=folder)
    return packages


def read(package: Path) -> IconSet:
    """The set in a package. Raises ExampleError for a licence that is not free."""
    info = json.loads((package / "info.json").read_text())
    icons = json.loads((package / "icons.json").read_text())
    licence = info["license"].get("spdx") or info["license"]["title"]
    if licence not in FREE:
        raise ExampleError(f"{package.name} is under {licence}: take it out of VERSIONS")
    defaults = {key: icons.get(key, default) for key, default in _BOX.items()}
    return IconSet(
        prefix=info["prefix"],
        title=info["name"],
        version=VERSIONS[package.name],
        licence=licence,
        licence_url=info["license"].get("url", ""),
        # Aliases are left out: one picture under two names is no second hand's drawing.
        icons={
            name: (icon["body"], _box({**defaults, **icon}))
            for name, icon in icons["icons"].items()
            if not icon.get("hidden")
        },
    )


_BOX = {"left": 0, "top": 0, "width": 16, "height": 16}


def _box(icon: dict[str, Any]) -> tuple[float, float, float, float]:
    left, top, width, height = (float(icon[key]) for key in _BOX)
    return left, top, width, height
