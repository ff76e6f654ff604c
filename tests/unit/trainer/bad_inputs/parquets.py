"""Parquet files."""

from __future__ import annotations

import pyarrow as arrow

from tests.unit.trainer.bad_inputs.corner import IMAGES, LABELS, ROWS, TEXTS, png
from tests.unit.trainer.bad_inputs.making import (
    DATA,
    Bad,
    also,
    by_shop,
    cut,
    encoded,
    parquet,
    raw,
    runs_of_zero,
    texts,
    unfolding,
)

IN_PARQUET = (
    Bad(
        "parquet: no bytes",
        raw("set.parquet", b"", "Parquet"),
        DATA,
        ("set.parquet cannot be read as Parquet", "write the file again"),
    ),
    Bad(
        "parquet: CSV inside",
        raw("set.parquet", b"a,b\n1,2\n", "Parquet"),
        DATA,
        ("cannot be read as Parquet",),
    ),
    Bad("parquet: torn", cut(parquet(), 0.6), DATA, ("cannot be read as Parquet",)),
    Bad(
        "parquet: no rows",
        parquet(input=arrow.array([], arrow.string()), label=arrow.array([], arrow.string())),
        DATA,
        ("has 0 rows", "at least one row"),
    ),
    Bad(
        "parquet: no input",
        parquet(input=None, text=TEXTS),
        DATA,
        ("column `input` is missing", "columns.input", "label, text"),
    ),
    Bad(
        "parquet: no label",
        parquet(label=None),
        DATA,
        ("column `label` is missing", "columns.label"),
    ),
    Bad(
        "parquet: input of integers",
        parquet(input=list(range(ROWS))),
        DATA,
        ("column `input` is int64", "list of floats"),
    ),
    Bad(
        "parquet: input of dates",
        parquet(input=arrow.array([1] * ROWS, arrow.date32())),
        DATA,
        ("`input` is date32",),
    ),
    Bad(
        "parquet: labels of floats",
        parquet(label=[1.5] * ROWS),
        DATA,
        ("column `label` is double", "text or whole numbers"),
    ),
    Bad(
        "parquet: null labels",
        parquet(label=[None, *LABELS.tolist()[1:]]),
        DATA,
        ("rows without `label`", "row 0"),
    ),
    Bad(
        "parquet: null texts",
        parquet(input=texts(_4=None)),
        DATA,
        ("rows without `input`", "row 4", "remove"),
    ),
    Bad(
        "parquet: empty texts",
        parquet(input=texts(_4="")),
        DATA,
        ("empty text in `input`", "row 4"),
    ),
    Bad(
        "parquet: a book",
        parquet(input=texts(_8="x" * 70_000)),
        DATA,
        ("longer than 65536", "row 8: 70000", "split each"),
    ),
    Bad("parquet: text that unfolds", unfolding, DATA, ("longer than 65536 characters (20000)",)),
    Bad(
        "parquet: numbers that unfold",
        runs_of_zero,
        DATA,
        ("declares 2000000 numbers in 1 rows", "65536"),
    ),
    Bad(
        "parquet: vectors of two lengths",
        parquet("MLP", input=[[1.0, 2.0]] * 23 + [[1.0]]),
        DATA,
        ("do not have 2 numbers like the first", "row 23"),
    ),
    Bad(
        "parquet: vectors with null",
        parquet("MLP", input=[[1.0, None]] + [[1.0, 2.0]] * 23),
        DATA,
        ("NaN or infinity", "row 0"),
    ),
    Bad(
        "parquet: empty vectors",
        parquet("MLP", input=arrow.array([[]] * ROWS, arrow.list_(arrow.float32()))),
        DATA,
        ("`input`", "without numbers", "remove"),
    ),
    Bad(
        "parquet: bytes that are no image",
        parquet("CNN", input=encoded(_3=b"GIF89a", _4=b"")),
        DATA,
        ("cannot be decoded", "row 3: neither PNG nor JPEG", "row 4"),
    ),
    Bad(
        "parquet: images of two sizes",
        parquet("CNN", input=encoded(_5=png(IMAGES[5][:4]))),
        DATA,
        ("not L 5x6 like most", "row 5: L 5x4", "one size"),
    ),
    Bad(
        "parquet: an image that is torn",
        parquet("CNN", input=encoded(_6=png(IMAGES[6])[:-40])),
        DATA,
        ("row 6",),
    ),
    Bad(
        "parquet: equal ids",
        parquet(id=["same"] * ROWS),
        DATA,
        ("`id` that occur more than once", "same", "unique"),
    ),
    Bad(
        "parquet: one group",
        also(parquet(shop=["one"] * ROWS), by_shop),
        DATA,
        ("1 groups", "at least two groups"),
    ),
)
