"""Texts: bytes and tokens as `preprocess.json` says, batches without a trace of their padding."""

from __future__ import annotations

import io
import json
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from lockstep_core.artifacts import (
    InputKind,
    InputSpec,
    ModelManifest,
    Role,
    describe_files,
    sha256_bytes,
)
from lockstep_core.encoding import (
    Encoder,
    EncodingError,
    Preprocessing,
    SelfCheckError,
    as_texts,
)
from lockstep_core.encoding.preprocessing import TEXT, load_preprocessing
from lockstep_core.encoding.ragged import MAX_UNITS_PER_BATCH, Ragged, batches
from lockstep_core.encoding.tokens import TokensPreprocessor, TokensSpec
from lockstep_core.protocol.artifacts import ArtifactKind, PixelReading
from lockstep_core.protocol.training.encoder import Overlong
from tests.unit.texts import TEXTS, WORDS, bytes_of, describe, tokens, write

pytestmark = pytest.mark.unit


def test_a_text_is_its_bytes_padded_to_the_longest_of_the_batch():
    found = bytes_of().prepare(["ab", "東"])
    assert found[:].tolist() == [[97, 98, 0], [0xE6, 0x9D, 0xB1]]
    assert found[:1].tolist() == [[97, 98]]
    assert found[:].dtype == np.uint8


def test_one_look_of_a_letter_is_one_text_unless_it_is_asked_for_as_it_is():
    composed, apart = "é", unicodedata.normalize("NFD", "é")
    assert composed != apart
    assert len({bytes(row) for row in bytes_of().prepare([composed, apart])[:]}) == 1
    as_it_is = bytes_of(unicode="AsIs").prepare([composed, apart])
    assert as_it_is.lengths.tolist() == [2, 3]


@given(st.text(min_size=1, max_size=30), st.integers(1, 24))
@settings(max_examples=60, deadline=None)
def test_a_cut_text_is_whole_characters_and_a_prefix(text: str, limit: int) -> None:
    if not text.strip() or "\0" in text or any("\ud800" <= c <= "\udfff" for c in text):
        return
    row = bytes(bytes_of(max_length=limit, overlong=Overlong.TRUNCATE).prepare([text]).values)
    whole = unicodedata.normalize("NFC", text)
    assert whole.startswith(row.decode())
    assert len(row) <= limit
    rest = whole[len(row.decode()) :]
    assert not rest or len(row) + len(rest[0].encode()) > limit


def test_tokens_carry_the_tokenizers_own_marks_and_int64():
    found = tokens().prepare(["the cat", "cat"])
    assert found[:].tolist() == [[2, 4, 5, 3], [2, 5, 3, 0]]
    assert found[:].dtype == np.int64
    assert tokens().vocabulary == len(WORDS)


def test_a_text_that_spells_a_mark_is_a_text():
    """Otherwise a user could end a text, or hide a part of it as padding."""
    (row,) = tokens().prepare(["cat [SEP] [PAD] cat"])[:].tolist()
    assert row[0] == 2 and row[-1] == 3
    assert not {0, 2, 3} & set(row[1:-1])


def test_tokens_are_cut_with_their_marks_kept():
    (row,) = tokens(max_length=4, overlong=Overlong.TRUNCATE).prepare([TEXTS[-1]])[:].tolist()
    assert row == [2, 4, 5, 3]


@pytest.mark.parametrize(
    ("texts", "item", "said"),
    [
        (["cat", "the cat sat on the mat"], 1, "has 8 tokens, but this encoder takes at most 6"),
        (["cat", " "], 1, "is empty text"),
        (["c\0t"], 0, "NUL"),
    ],
)
def test_what_cannot_be_taken_is_named(texts: list[str], item: int, said: str) -> None:
    with pytest.raises(EncodingError, match=said) as caught:
        tokens(max_length=6).prepare(texts)
    assert caught.value.item == item
    assert str(caught.value) == f"item {item}: {caught.value.reason}"


def test_an_overlong_text_names_the_fix():
    with pytest.raises(EncodingError, match=r"item 1: has 6 bytes.*at most 5.*overlong: Truncate"):
        bytes_of(max_length=5).prepare(["мя", "мир"])


def test_a_tokenizer_that_cannot_serve_is_refused():
    with pytest.raises(SelfCheckError, match="token 2 around each text, but it is `padID`"):
        tokens(pad_id=2)
    with pytest.raises(SelfCheckError, match="no room is left"):
        tokens(max_length=2)


def test_a_file_that_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(SelfCheckError, match=r"tokenizer\.json cannot be loaded"):
        TokensPreprocessor.load(TokensSpec(pad_id=0, max_length=9), tmp_path / "tokenizer.json")


@given(st.lists(st.integers(1, 2000), min_size=1, max_size=60), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_batches_hold_every_row_once_within_their_bounds(lengths: list[int], size: int) -> None:
    rows = Ragged.of([[1] * each for each in lengths], stored=np.int32, pad=0, given=np.int64)
    seen = []
    for batch in batches(rows, size):
        longest = max(lengths[row] for row in batch)
        assert 1 <= len(batch) <= size
        assert len(batch) == 1 or len(batch) * longest <= MAX_UNITS_PER_BATCH
        assert rows[batch].shape == (len(batch), longest)
        seen += batch.tolist()
    assert sorted(seen) == list(range(len(lengths)))


@pytest.mark.parametrize("text", [bytes_of(), tokens()], ids=["bytes", "tokens"])
def test_an_encoder_takes_raw_texts_in_any_order_and_company(tmp_path: Path, text: Any) -> None:
    encoder = Encoder.load(tmp_path, write(tmp_path, text))
    encoder.check_golden()
    assert encoder.golden_inputs.tolist() == TEXTS
    heard: list[int] = []
    together = encoder.encode(as_texts(TEXTS), batch_size=4, on_batch=heard.append)
    assert heard == [4, 6]
    alone = np.concatenate([encoder.encode(as_texts([each])) for each in TEXTS])
    assert together == pytest.approx(alone, abs=1e-6)
    assert encoder.count_units(as_texts(TEXTS)).tolist() == text.prepare(TEXTS).lengths.tolist()
    assert encoder.encode(as_texts([])).shape == (0, 2)
    with pytest.raises(EncodingError, match="items are float32, but this encoder takes text"):
        encoder.encode(np.zeros((2, 3), np.float32))


def test_a_graph_of_one_item_is_given_one_at_a_time(tmp_path: Path) -> None:
    """What a quantised graph declares, see the trainer."""
    manifest = write(tmp_path, bytes_of())
    model = onnx.load(tmp_path / "model.onnx")
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    wanted = Encoder.load(tmp_path, manifest).encode(as_texts(TEXTS))
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    heard: list[int] = []
    quantised = Encoder.load(tmp_path, manifest)
    assert quantised.kind is ArtifactKind.INT8
    found = quantised.encode(as_texts(TEXTS), on_batch=heard.append)
    assert heard == list(range(1, len(TEXTS) + 1))
    assert found == pytest.approx(wanted, abs=1e-6)


def test_the_kind_of_an_artifact_is_what_its_manifest_says(tmp_path: Path) -> None:
    """And not what its graph looks like; where it says nothing, it is of float32."""
    manifest = write(tmp_path, bytes_of())
    assert manifest.kind is None and b'"kind":"Int8"' not in manifest.to_bytes()
    assert Encoder.load(tmp_path, manifest).kind is ArtifactKind.FLOAT32
    said = manifest.replace(kind=ArtifactKind.INT8)
    assert b'"kind":"Int8"' in said.to_bytes()
    assert said.space_id == manifest.space_id
    heard: list[int] = []
    quantised = Encoder.load(tmp_path, said)
    assert quantised.kind is ArtifactKind.INT8
    quantised.encode(as_texts(TEXTS), on_batch=heard.append)
    assert heard == [len(TEXTS)]


def test_golden_vectors_are_judged_by_the_kind_of_the_artifact(tmp_path: Path) -> None:
    manifest = write(tmp_path, bytes_of())
    with np.load(tmp_path / "golden.npz") as golden:
        inputs, embeddings = golden["inputs"], golden["embeddings"]
    angle = np.arccos(0.999)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    moved = (embeddings @ turn).astype(np.float32)
    np.savez(tmp_path / "golden.npz", inputs=inputs, embeddings=moved)
    Encoder.load(tmp_path, manifest.replace(kind=ArtifactKind.INT8)).check_golden()
    with pytest.raises(SelfCheckError, match=r"were published with them.*processor \(CPU\)"):
        Encoder.load(tmp_path, manifest).check_golden()


def test_a_graph_of_a_fixed_length_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SelfCheckError, match="its manifest says"):
        Encoder.load(tmp_path, write(tmp_path, bytes_of(), length=8))


def test_the_way_to_prepare_texts_is_part_of_the_space(tmp_path: Path) -> None:
    spaces = set()
    for limit in (100, 101):
        folder = tmp_path / str(limit)
        folder.mkdir()
        spaces.add(write(folder, bytes_of(max_length=limit)).space_id)
    assert len(spaces) == 2


def test_another_contract_than_the_space_was_named_by_is_refused(tmp_path: Path) -> None:
    write(tmp_path, bytes_of())
    other = Preprocessing(TEXT, bytes_of(max_length=9)).contract()
    with pytest.raises(SelfCheckError, match="texts would be prepared in another way"):
        Encoder.load(tmp_path, describe(tmp_path, other))
    contract = (tmp_path / "preprocess.json").read_bytes()
    with pytest.raises(SelfCheckError, match="must be a file of role Serving"):
        Encoder.load(tmp_path, describe(tmp_path, contract, preprocess_json=Role.REPORT))


def test_a_tokenizer_outside_of_the_model_is_refused(tmp_path: Path) -> None:
    write(tmp_path, tokens())
    contract = (tmp_path / "preprocess.json").read_bytes()
    with pytest.raises(SelfCheckError, match=r"tokenizer\.json must be a file of role Serving"):
        Encoder.load(tmp_path, describe(tmp_path, contract, tokenizer_json=Role.CHECK))


@pytest.mark.parametrize(
    ("wire", "said"),
    [
        ({"kind": "Text", "shape": [], "dtype": "text"}, "preprocessor"),
        ({"preprocessor": {"kind": "Words"}}, "preprocessor"),
        ({"preprocessor": {"kind": "Bytes", "unicode": "NFKD"}}, "unicode"),
        ({"preprocessor": {"kind": "Tokens", "maxLength": 4}}, "padID"),
    ],
)
def test_a_contract_of_another_form_is_refused(tmp_path: Path, wire: Any, said: str) -> None:
    write(tmp_path, bytes_of())
    data = json.dumps({"kind": "Text", "shape": [], "dtype": "text"} | wire).encode()
    (tmp_path / "preprocess.json").write_bytes(data)
    with pytest.raises(SelfCheckError, match=said):
        Encoder.load(tmp_path, describe(tmp_path, data))


def test_the_contract_of_images_and_vectors_keeps_its_bytes():
    """They name spaces that exist."""
    spec = InputSpec(kind=InputKind.IMAGE, shape=(16, 16), dtype="uint8")
    assert Preprocessing(spec).contract() == b'{"dtype":"uint8","kind":"Image","shape":[16,16]}'
    with pytest.raises(ValueError, match="nothing but texts"):
        Preprocessing(TEXT)


def test_how_images_are_read_is_part_of_the_space(tmp_path: Path) -> None:
    stored = InputSpec(kind=InputKind.IMAGE, shape=(16, 16), dtype="uint8")
    shown = stored.replace(pixels=PixelReading.AS_SHOWN)
    contract = Preprocessing(shown).contract()
    assert contract != Preprocessing(stored).contract() and b'"pixels":"AsShown"' in contract
    (tmp_path / "model.onnx").write_bytes(b"any")

    def manifest(input: InputSpec, named_by: bytes) -> ModelManifest:
        return ModelManifest.describe(
            describe_files(tmp_path, {"model.onnx": Role.SERVING}),
            preprocessing_digest=sha256_bytes(named_by),
            pooling="None",
            normalisation="L2",
            dimension=2,
            input=input,
            provenance={},
        )

    assert load_preprocessing(tmp_path, manifest(shown, contract)).input == shown
    # One of before there was the choice may be named by anything.
    assert load_preprocessing(tmp_path, manifest(stored, b"none")).input == stored
    with pytest.raises(SelfCheckError, match="images would be read in another way"):
        load_preprocessing(tmp_path, manifest(shown, Preprocessing(stored).contract()))


@pytest.mark.parametrize(
    ("kind", "shape", "dtype"),
    [("Text", (4,), "text"), ("Text", (), "uint8"), ("Image", (), "uint8"), ("Vector", (), "text")],
)
def test_an_input_of_another_form_is_no_input(kind: str, shape: Any, dtype: Any) -> None:
    with pytest.raises(ValidationError, match=r"a Text is text \[\]"):
        InputSpec(kind=InputKind(kind), shape=shape, dtype=dtype)


def test_dimensions_that_were_trained_for_rise_and_are_shorter(tmp_path: Path) -> None:
    write(tmp_path, bytes_of())
    contract = (tmp_path / "preprocess.json").read_bytes()
    manifest = describe(tmp_path, contract)
    assert "matryoshkaDimensions" not in manifest.to_wire()
    wire = manifest.to_wire()
    for wrong in ([2], [1, 1], [3]):
        with pytest.raises(ValidationError, match="must rise"):
            ModelManifest.model_validate(wire | {"matryoshkaDimensions": wrong})
    cut = ModelManifest.model_validate(wire | {"matryoshkaDimensions": [1]})
    assert cut.space_of_prefix(2) == cut.space_id != cut.space_of_prefix(1)


def test_golden_texts_need_no_pickle(tmp_path: Path) -> None:
    write(tmp_path, bytes_of())
    with np.load(io.BytesIO((tmp_path / "golden.npz").read_bytes()), allow_pickle=False) as golden:
        assert golden["inputs"].dtype.kind == "U"
