"""NPZ archives."""

from __future__ import annotations

import pickle

import numpy as np

from tests.unit.trainer.bad_inputs.corner import IMAGES, LABELS, ROWS, VECTORS
from tests.unit.trainer.bad_inputs.making import (
    DATA,
    Bad,
    also,
    archive,
    at,
    cut,
    labels,
    npz,
    raw,
    texts,
    vectors,
    zip_bomb,
)

IN_NPZ = (
    Bad(
        "npz: no bytes",
        raw("set.npz", b"", "NPZ"),
        DATA,
        ("set.npz is no NPZ archive", "numpy.savez"),
    ),
    Bad("npz: CSV inside", raw("set.npz", b"a,b\n1,2\n", "NPZ"), DATA, ("is no NPZ archive",)),
    Bad(
        "npz: a pickle",
        raw("set.npz", pickle.dumps([1]), "NPZ"),
        DATA,
        ("is no NPZ archive", "plain arrays only"),
    ),
    Bad("npz: torn", cut(npz(), 0.5), DATA, ("is no NPZ archive", "again")),
    Bad("npz: a size that lies", zip_bomb, DATA, ("inputs", "numpy.savez")),
    Bad(
        "npz: members that are no arrays",
        archive(inputs=b"x", labels=b"y"),
        DATA,
        ("`inputs` cannot be read", "`labels` cannot be read"),
    ),
    Bad("npz: no inputs", npz(inputs=None), DATA, ("`inputs` is missing", "labels")),
    Bad("npz: no labels", npz(labels=None), DATA, ("`labels` is missing", "inputs")),
    Bad(
        "npz: other names",
        also(npz(), at(data__columns={"input": "x", "label": "y"})),
        DATA,
        ("`x` is missing", "`y` is missing", "holds: inputs, labels"),
    ),
    Bad(
        "npz: no items",
        npz(inputs=VECTORS[:0], labels=LABELS[:0]),
        DATA,
        ("`inputs` is empty", "at least one item"),
    ),
    Bad(
        "npz: objects",
        npz(inputs=VECTORS.astype(object)),
        DATA,
        ("object array", "pickle is refused"),
    ),
    Bad("npz: float64", npz(inputs=VECTORS.astype(float)), DATA, ("<f8 [24, 4]", ".astype('<f4')")),
    Bad(
        "npz: flat images", npz(inputs=IMAGES.reshape(ROWS, 30)), DATA, ("|u1 [24, 30]", "[N,H,W]")
    ),
    Bad(
        "npz: channels first",
        npz(inputs=np.zeros((ROWS, 3, 8, 8), np.uint8)),
        DATA,
        ("as the last axis",),
    ),
    Bad(
        "npz: NaN",
        npz(inputs=vectors(_7=np.nan, _9=np.inf)),
        DATA,
        ("NaN or infinity", "row 7", "row 9", "remove"),
    ),
    Bad(
        "npz: too few labels",
        npz(labels=LABELS[:9]),
        DATA,
        ("`labels` has 9 rows, `inputs` 24", "one entry per row"),
    ),
    Bad(
        "npz: labels of floats",
        npz(labels=np.arange(24.0)),
        DATA,
        ("`labels` is <f8 [24]", ".astype(str)"),
    ),
    Bad(
        "npz: one-hot labels",
        npz(labels=np.eye(ROWS, dtype=int)),
        DATA,
        ("`labels` is <i8 [24, 24]",),
    ),
    Bad(
        "npz: empty labels",
        npz(labels=labels(_3="", _4=" ")),
        DATA,
        ("empty `labels`", "row 3", "row 4"),
    ),
    Bad(
        "npz: labels of two lines",
        npz(labels=labels(_5="a\nb")),
        DATA,
        ("control characters in `labels`", "row 5"),
    ),
    Bad(
        "npz: overlong labels",
        npz(labels=labels(_6="x" * 513)),
        DATA,
        ("overlong `labels`", "512 characters"),
    ),
    Bad(
        "npz: equal ids",
        npz(ids=np.zeros(ROWS, int)),
        DATA,
        ("`ids` that occur more than once", "unique"),
    ),
    Bad(
        "npz: empty texts",
        also(npz(inputs=np.array(texts(_2="", _3=" \t"))), at(encoder__kind="CharCNN")),
        DATA,
        ("empty text in `inputs`", "row 2"),
    ),
    Bad(
        "npz: groups that are absent",
        at(data__columns={"group": "shop"}, data__split={"by": "Group"}),
        DATA,
        ("`shop` is missing",),
    ),
    Bad(
        "npz: NaN and few labels",
        npz(inputs=vectors(_0=np.nan), labels=LABELS[:9]),
        DATA,
        ("NaN or infinity", "`labels` has 9 rows"),
    ),
)
