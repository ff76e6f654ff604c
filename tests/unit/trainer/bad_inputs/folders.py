"""Folders of images."""

from __future__ import annotations

import os

from tests.unit.trainer.bad_inputs.corner import IMAGES, png
from tests.unit.trainer.bad_inputs.making import DATA, Bad, also, claiming, one, pictures, write

IN_FOLDERS = (
    Bad(
        "folder: no image",
        lambda c: c.use("empty", "ImageFolder", "CNN").mkdir(),
        DATA,
        ("holds no image", "one folder per class"),
    ),
    Bad(
        "folder: a file",
        also(lambda c: c.folder(), lambda c: c.data.update(uri=f"file://{c.root}/set.npz")),
        DATA,
        ("is not a folder", "format: NPZ"),
    ),
    Bad(
        "folder: another size",
        pictures(one(size=(9, 9))),
        DATA,
        ("not L 5x6 like most", "class-0/0.png: L 9x9"),
    ),
    Bad(
        "folder: alpha",
        pictures(one(mode="RGBA")),
        DATA,
        ("mode that is not accepted", "RGBA", "RGB"),
    ),
    Bad(
        "folder: 400 megapixels",
        pictures(write("class-0/0.png", claiming(20_000))),
        DATA,
        ("class-0/0.png", "exceed"),
    ),
    Bad(
        "folder: text by name of PNG",
        pictures(write("class-0/0.png", b"hello")),
        DATA,
        ("neither PNG nor JPEG", "replace or remove"),
    ),
    Bad(
        "folder: other files",
        pictures(write("class-0/notes.txt", b"x")),
        DATA,
        ("class-0/notes.txt", "convert or remove"),
    ),
    Bad(
        "folder: files beside the classes",
        pictures(write("0.png", png(IMAGES[0]))),
        DATA,
        ("beside the class folders", "0.png", "move each"),
    ),
    Bad(
        "folder: nested",
        pictures(lambda f: (f / "class-0/more").mkdir()),
        DATA,
        ("class-0/more", "in one folder"),
    ),
    Bad(
        "folder: an empty class",
        pictures(lambda f: (f / "class-9").mkdir()),
        DATA,
        ("class-9", "add images"),
    ),
    Bad(
        "folder: a link out of the set",
        pictures(lambda f: (f / "class-0/x.png").symlink_to("/etc/hostname")),
        DATA,
        ("lead out of the set", "copy the files"),
    ),
    Bad(
        "folder: a pipe",
        pictures(lambda f: os.mkfifo(f / "class-0/x.png")),
        DATA,
        ("pipes", "class-0/x.png"),
    ),
    Bad(
        "folder: a name that is no text",
        pictures(lambda f: (f / "class-0/0.png").rename(f / os.fsdecode(b"class-0/\xff.png"))),
        DATA,
        ("valid Unicode",),
    ),
    Bad(
        "folder: a name of two lines",
        pictures(lambda f: (f / "class-0/0.png").rename(f / "class-0/a\nb.png")),
        DATA,
        ("control characters",),
    ),
)
