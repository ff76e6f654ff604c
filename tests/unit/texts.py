"""Artifacts of a tiny encoder of texts, whose embedding tells which text it is of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from lockstep_core.artifacts import ModelManifest, Role, describe_files, sha256_bytes
from lockstep_core.encoding import Encoder, Golden, Preprocessing, as_texts, write_golden
from lockstep_core.encoding.bytes_text import BytesPreprocessor, BytesSpec
from lockstep_core.encoding.preprocessing import TEXT
from lockstep_core.encoding.tokens import TokensPreprocessor, TokensSpec

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "cat", "sat", "on", "mat"]
TEXTS = ["the cat", "Zürich", "東京都", "мир", "x", "the cat sat on the mat"]


def tokenizer() -> Tokenizer:
    """A real one, of nine words."""
    made = Tokenizer(
        models.WordPiece({word: at for at, word in enumerate(WORDS)}, unk_token="[UNK]")
    )
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.add_special_tokens(WORDS[:4])
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return made


def tokens(**changes: Any) -> TokensPreprocessor:
    return TokensPreprocessor(
        TokensSpec(**({"pad_id": 0, "max_length": 12} | changes)), tokenizer()
    )


def bytes_of(**changes: Any) -> BytesPreprocessor:
    return BytesPreprocessor(BytesSpec(**changes))


def graph(tensor: int, *, length: str | int = "length") -> bytes:
    """Counts of the first units, so an embedding tells which text it is of; of unit norm."""
    nodes = [
        helper.make_node("Cast", ["input"], ["units"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["units", "axis"], ["sum"], keepdims=1),
        helper.make_node("ReduceSumSquare", ["units"], ["squares"], axes=[1], keepdims=1),
        helper.make_node("Concat", ["sum", "squares"], ["both"], axis=1),
        helper.make_node("LpNormalization", ["both"], ["sentence_embedding"], axis=1, p=2),
    ]
    axis = helper.make_tensor("axis", TensorProto.INT64, [1], [1])
    made = helper.make_graph(
        nodes,
        "text",
        [helper.make_tensor_value_info("input", tensor, ["batch", length])],
        [helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, ["batch", 2])],
        [axis],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data


def write(
    folder: Path, text: BytesPreprocessor | TokensPreprocessor, **built: Any
) -> ModelManifest:
    """An artifact as a trainer would write it."""
    in_tokens = isinstance(text, TokensPreprocessor)
    tensor = TensorProto.INT64 if in_tokens else TensorProto.UINT8
    (folder / "model.onnx").write_bytes(graph(tensor, **built))
    contract = Preprocessing(TEXT, text).contract()
    (folder / "preprocess.json").write_bytes(contract)
    tokenizer().save(str(folder / "tokenizer.json"))
    write_golden(folder, Golden(as_texts(TEXTS), np.zeros((len(TEXTS), 2), np.float32)))
    manifest = describe(folder, contract)
    if not built:
        golden = Encoder.load(folder, manifest).encode(as_texts(TEXTS))
        write_golden(folder, Golden(as_texts(TEXTS), golden))
    return describe(folder, contract)


def describe(
    folder: Path, contract: bytes, matryoshka: tuple[int, ...] = (), **roles: Role
) -> ModelManifest:
    files = {
        "model.onnx": Role.SERVING,
        "preprocess.json": Role.SERVING,
        "tokenizer.json": Role.SERVING,
        "golden.npz": Role.CHECK,
    } | {name.replace("_", "."): role for name, role in roles.items()}
    return ModelManifest.describe(
        describe_files(folder, files),
        preprocessing_digest=sha256_bytes(contract),
        pooling="Sum",
        normalisation="L2",
        dimension=2,
        input=TEXT,
        provenance={},
        matryoshka_dimensions=matryoshka,
    )
