"""JSONLines files."""

from __future__ import annotations

from tests.unit.trainer.bad_inputs.corner import ROWS
from tests.unit.trainer.bad_inputs.making import (
    DATA,
    Bad,
    also,
    at,
    item,
    lines,
    raw,
)

IN_LINES = (
    Bad(
        "jsonl: no bytes",
        raw("set.jsonl", b"", "JSONLines"),
        DATA,
        ("holds no line", "one JSON object a line"),
    ),
    Bad(
        "jsonl: blank lines alone", raw("set.jsonl", b"\n\n", "JSONLines"), DATA, ("holds no line",)
    ),
    Bad(
        "jsonl: one array",
        raw("set.jsonl", b'[{"input": "a"}]', "JSONLines"),
        DATA,
        ("is one JSON array", "jq -c '.[]'"),
    ),
    Bad(
        "jsonl: gzip",
        raw("set.jsonl", b"\x1f\x8b\x08\0", "JSONLines"),
        DATA,
        ("compressed with gzip", "gunzip"),
    ),
    Bad(
        "jsonl: UTF-16",
        raw("set.jsonl", '{"input": "a"}'.encode("utf-16"), "JSONLines"),
        DATA,
        ("UTF-16", "UTF-8"),
    ),
    Bad(
        "jsonl: a byte order mark",
        raw("set.jsonl", b"\xef\xbb\xbf{}", "JSONLines"),
        DATA,
        ("byte order mark",),
    ),
    Bad(
        "jsonl: Latin-1",
        raw("set.jsonl", '{"input": "é"}'.encode("latin-1"), "JSONLines"),
        DATA,
        ("no JSON", "line 1", "UTF-8"),
    ),
    Bad(
        "jsonl: Parquet inside",
        raw("set.jsonl", b"PAR1...", "JSONLines"),
        DATA,
        ("is a Parquet file", "format: Parquet"),
    ),
    Bad(
        "jsonl: CSV inside",
        raw("set.jsonl", b"input,label\na,b\n", "JSONLines"),
        DATA,
        ("lines that are no JSON", "line 1", "line 2"),
    ),
    Bad("jsonl: a torn line", lines({23: '{"input": "te'}), DATA, ("no JSON", "line 24")),
    Bad(
        "jsonl: NaN",
        lines({1: '{"input": [NaN], "label": "a"}'}),
        DATA,
        ("no JSON", "line 2", "no NaN"),
    ),
    Bad("jsonl: deep", lines({1: '{"input": ' + "[" * 100_000}), DATA, ("no JSON", "line 2")),
    Bad(
        "jsonl: half a character",
        lines({2: '{"input": "\\ud800", "label": "a"}'}),
        DATA,
        ("no JSON", "line 3"),
    ),
    Bad(
        "jsonl: a long line",
        lines({1: "x" * 5_000_000}),
        DATA,
        ("longer than 4194304 bytes", "line 2"),
    ),
    Bad("jsonl: numbers for objects", lines({3: "17"}), DATA, ("no object", "line 4: int")),
    Bad(
        "jsonl: a line without input",
        lines({4: {"label": "a", "text": "b"}}),
        DATA,
        ("lines without `input`", "line 5: has label, text", "columns.input"),
    ),
    Bad(
        "jsonl: a line without label",
        lines({5: {"input": "a"}}),
        DATA,
        ("lines without `label`", "line 6", "columns.label"),
    ),
    Bad(
        "jsonl: labels of floats",
        lines({6: item(label=1.5)}),
        DATA,
        ("neither text nor a whole number", "line 7: float"),
    ),
    Bad("jsonl: labels of lists", lines({6: item(label=["a"])}), DATA, ("`label`", "line 7: list")),
    Bad(
        "jsonl: input of true",
        lines({0: item(input=True)}),
        DATA,
        ("neither text nor a list of numbers", "line 1: bool"),
    ),
    Bad(
        "jsonl: text and vectors",
        lines({7: item(input=[1, 2])}),
        DATA,
        ("is no text, unlike the first", "line 8", "one type"),
    ),
    Bad(
        "jsonl: empty text", lines({8: item(input="  ")}), DATA, ("empty text in `input`", "line 9")
    ),
    Bad("jsonl: NUL", lines({8: item(input="a\0b")}), DATA, ("NUL character", "line 9")),
    Bad(
        "jsonl: text in a vector",
        lines(dict.fromkeys(range(ROWS), item(input=[1, "2"]))),
        DATA,
        ("holds what is no number", "line 1: str", "flat list"),
    ),
    Bad(
        "jsonl: an empty vector",
        lines(dict.fromkeys(range(ROWS), item(input=[]))),
        DATA,
        ("0 numbers", "line 1"),
    ),
    Bad(
        "jsonl: vectors of two lengths",
        lines({**dict.fromkeys(range(ROWS), item(input=[1, 2])), 5: item(input=[1])}),
        DATA,
        ("do not have 2 numbers", "line 6: 1 numbers"),
    ),
    Bad(
        "jsonl: numbers beyond float32",
        also(lines(dict.fromkeys(range(ROWS), item(input=[1e39]))), at(encoder__kind="MLP")),
        DATA,
        ("NaN or infinity", "line 1"),
    ),
    Bad("jsonl: blank lines within", lines({9: ""}), DATA, ("blank lines", "line 10", "remove")),
    Bad(
        "jsonl: many faults",
        lines({0: "x", 1: item(label=None), 2: item(input="")}),
        DATA,
        ("line 1", "lines without `label`", "empty text"),
    ),
    Bad(
        "jsonl: a long text",
        lines({9: item(input="word " * 50)}),
        DATA,
        ("texts that the encoder does not take", "row 9", "maxLength"),
    ),
)
