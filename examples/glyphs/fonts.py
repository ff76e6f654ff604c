"""Fonts of Debian packages, unpacked into a folder of the user's and not installed."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from examples.glyphs.render import FACES, Face
from examples.workspace import ExampleError, progress, run, say

SMALL = (
    *("fonts-aoyagi-kouzan-t", "fonts-arphic-gkai00mp", "fonts-arphic-ukai", "fonts-arphic-uming"),
    *("fonts-cwtex-fs", "fonts-cwtex-heib", "fonts-cwtex-kai", "fonts-cwtex-ming"),
    *("fonts-cwtex-yen", "fonts-dejima-mincho", "fonts-horai-umefont", "fonts-ipaexfont-gothic"),
    *("fonts-ipaexfont-mincho", "fonts-kiloji", "fonts-konatu", "fonts-lxgw-wenkai"),
    *("fonts-motoya-l-cedar", "fonts-sawarabi-gothic", "fonts-sawarabi-mincho", "fonts-seto"),
    *("fonts-smiley-sans", "fonts-vlgothic", "fonts-wqy-microhei", "fonts-wqy-zenhei"),
)
"""The packages of the Dockerfile: one face of each is drawn."""

FULL = (
    *SMALL,
    *("fonts-aoyagi-soseki", "fonts-arphic-bkai00mp", "fonts-arphic-bsmi00lp"),
    *("fonts-arphic-gbsn00lp", "fonts-babelstone-han", "fonts-hanazono", "fonts-ipamj-mincho"),
    *("fonts-kouzan-mouhitsu", "fonts-morisawa-bizud-gothic", "fonts-morisawa-bizud-mincho"),
    *("fonts-motoya-l-maruberi", "fonts-mplus", "fonts-nanum", "fonts-noto-cjk"),
)
"""38 packages, all faces of each. Left out are fonts made of others of these, such as Takao: held
out by package, they would be what another package draws stroke for stroke."""


def unpacked(packages: Sequence[str], folder: Path) -> dict[str, Path]:
    """For each package its folder below `folder`; what is missing is fetched by one apt-get."""
    folder.mkdir(parents=True, exist_ok=True)
    places = {name: folder / name for name in packages}
    missing = [name for name, place in places.items() if not place.is_dir()]
    if missing:
        say(f"fetching {len(missing)} font packages")
        loading = folder / ".loading"
        shutil.rmtree(loading, ignore_errors=True)
        loading.mkdir()
        run("apt-get", "download", "-q", *missing, cwd=loading)
        for name in progress(missing, "unpacking", len(missing)):
            archive = next(loading.glob(f"{name}_*.deb"), None)
            if archive is None:
                raise ExampleError(f"apt-get brought no {name}: run apt-get update, try again")
            run("dpkg-deb", "-x", archive.name, name, cwd=loading)
            (loading / name).replace(places[name])
        shutil.rmtree(loading)
    return places


def small_faces(places: dict[str, Path]) -> dict[str, tuple[Face, str]]:
    """By name: the faces of the demo, each with its package."""
    files = {path.name: (path, name) for name, path in _files(places)}
    if lacking := [name for name in FACES if name not in files]:
        raise ExampleError(f"the packages hold no {', '.join(lacking)}")
    chosen = [(Face(files[name][0]), files[name][1]) for name in FACES]
    return {face.name: (face, package) for face, package in chosen}


def all_faces(places: dict[str, Path]) -> dict[str, tuple[Face, str]]:
    """By name: every outline font of the packages, each with its package."""
    faces: dict[str, tuple[Face, str]] = {}
    for package, path in _files(places):
        try:
            face = Face(path)
        except OSError as error:
            say(f"left out: {path.name} ({error})")
            continue
        faces.setdefault(face.name, (face, package))
    return faces


def _files(places: dict[str, Path]) -> Iterable[tuple[str, Path]]:
    for package, place in places.items():
        for path in sorted(place.rglob("*")):
            if path.suffix.lower() in (".ttf", ".ttc", ".otf") and not path.is_symlink():
                yield package, path
