"""Encoders of texts: from weights to an artifact, from an artifact to weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import nn
from torch.nn import functional

from lockstep_core.artifacts import ArtifactStore, ModelManifest
from lockstep_core.encoding import Encoder, Preprocessing, as_texts
from lockstep_core.protocol.artifacts import ArtifactKind, PixelReading
from lockstep_core.protocol.storage import ArtifactsSpec
from lockstep_core.protocol.training import EncoderSpec, Int8Spec
from lockstep_core.protocol.training.encoder import BaseSpec
from lockstep_trainer.__main__ import main
from lockstep_trainer.artifact.export import export
from lockstep_trainer.artifact.manifest import describe
from lockstep_trainer.artifact.quantisation import neighbour_overlap, quantise
from lockstep_trainer.evaluation import embed
from lockstep_trainer.networks import Network, NetworkError, build_network
from lockstep_trainer.networks.bert import Bert, BertConfig
from lockstep_trainer.networks.onnx_graph import ExportError
from lockstep_trainer.networks.restoring import restore
from lockstep_trainer.pretrained.base import Pretrained, fetch_base, open_base
from lockstep_trainer.pretrained.hugging_face import open_folder

pytestmark = pytest.mark.unit

CPU = torch.device("cpu")
COLOURS, SIZES_OF_GOODS = ("red", "green", "blue", "black"), ("small", "large", "old", "new")
GOODS = ("shoe", "boot", "shirt", "coat", "hat", "men", "women", "children")
WORDS = [*COLOURS, *SIZES_OF_GOODS, *GOODS]
SIZES = {
    "vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 24, "max_position_embeddings": 40, "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
}  # fmt: skip


def phrases(count: int) -> Any:
    """Distinct lists of goods."""
    draw = np.random.default_rng(0)
    return as_texts([" ".join(draw.choice(WORDS, draw.integers(2, 12))) for _ in range(count)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two layers, as Hugging Face and sentence-transformers lay it out."""
    made = tmp_path_factory.mktemp("published") / "tiny-bert"
    (made / "1_Pooling").mkdir(parents=True)
    (made / "config.json").write_text(json.dumps({"model_type": "bert", **SIZES}))
    (made / "sentence_bert_config.json").write_text('{"max_seq_length": 24}')
    modes = {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
    (made / "1_Pooling/config.json").write_text(
        json.dumps({"word_embedding_dimension": 16, **modes})
    )
    torch.manual_seed(0)
    weights = {f"bert.{k}": v * 4 for k, v in Bert(config()).state_dict().items()}
    # What the published files hold besides.
    weights |= {"bert.pooler.dense.weight": torch.zeros(16, 16)}
    save_file(weights, made / "model.safetensors")
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    words = {word: at for at, word in enumerate([*marks, *WORDS])}
    tokenizer = Tokenizer(models.WordPiece(words, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(marks)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.enable_padding(length=30)
    tokenizer.save(str(made / "tokenizer.json"))
    return made


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def published(folder: Path, store: Path) -> dict[str, Any]:
    """What `lockstep-train export` prints of that folder."""
    return exported("--store", f"file://{store}", "--folder", str(folder))


def exported(*options: str) -> dict[str, Any]:
    import contextlib
    import io

    with contextlib.redirect_stdout(io.StringIO()) as told:
        assert main(["export", *options]) == 0
    found: dict[str, Any] = json.loads(told.getvalue())
    return found


@pytest.fixture(scope="module")
def base(published: dict[str, Any], store: Path, tmp_path_factory: Any) -> Pretrained:
    spec = BaseSpec(uri=f"file://{store}", digest=published["artifactDigest"])
    into = tmp_path_factory.mktemp("base")
    return fetch_base(spec, ArtifactsSpec(uri=f"file://{store}"), into)


def config() -> BertConfig:
    return BertConfig.model_validate({"model_type": "bert", **SIZES})


def transformer(base: Pretrained, **fields: Any) -> Network:
    named = BaseSpec(uri="file:///store", digest=f"sha256:{'0' * 64}")
    spec = EncoderSpec(**({"kind": "Transformer", "dimension": 16, "base": named} | fields))
    return build_network(spec, (), seed=0, base=base)


def open_artifact(store: Path, digest: str, into: Path) -> tuple[ModelManifest, Encoder]:
    opened = ArtifactStore.open(ArtifactsSpec(uri=f"file://{store}"))
    manifest = opened.fetch(digest, into, ModelManifest)
    return manifest, Encoder.load(into, manifest)


def test_published_weights_become_an_artifact_and_a_base(published, store, base, tmp_path):
    manifest, encoder = open_artifact(store, published["artifactDigest"], tmp_path)
    assert (manifest.pooling, manifest.space_id) == ("Mean", published["spaceID"])
    texts = phrases(40)
    # The base gives what the artifact serves, in any company.
    network = transformer(base)
    assert np.abs(embed(network, texts, device=CPU) - encoder.encode(texts)).max() < 1e-5
    one = embed(network, texts[:1], device=CPU)
    assert np.abs(one - encoder.encode(texts)[:1]).max() < 1e-5
    assert published["parity"]["maxAbsolute"] <= 1e-4


def test_our_layers_are_those_of_torch(base):
    """torch's own post-norm encoder layer, fed with the same weights, as the reference."""
    network = transformer(base)
    prepared = network.preprocessing.prepare(phrases(5))
    tokens = torch.from_numpy(prepared[np.arange(5)])
    mask = tokens != 0
    trunk = network.trunk
    hidden = trunk.embeddings(tokens)
    for ours in trunk.layers:
        theirs = nn.TransformerEncoderLayer(
            16, 2, 24, dropout=0, activation="gelu", layer_norm_eps=1e-12, batch_first=True
        )
        asked = ours.attention.get_submodule("self")
        for name in ("weight", "bias"):
            parts = [getattr(asked[part], name) for part in ("query", "key", "value")]
            getattr(theirs.self_attn, f"in_proj_{name}").data = torch.cat(parts)
            getattr(theirs.self_attn.out_proj, name).data = getattr(
                ours.attention.output.dense, name
            )
            getattr(theirs.linear1, name).data = getattr(ours.intermediate["dense"], name)
            getattr(theirs.linear2, name).data = getattr(ours.output.dense, name)
            getattr(theirs.norm1, name).data = getattr(ours.attention.output.LayerNorm, name)
            getattr(theirs.norm2, name).data = getattr(ours.output.LayerNorm, name)
        hidden = theirs(hidden, src_key_padding_mask=~mask)
    wanted, found = hidden * mask.unsqueeze(2), trunk(tokens, mask) * mask.unsqueeze(2)
    torch.testing.assert_close(found, wanted, atol=2e-5, rtol=1e-4)


def test_pooling_projection_and_frozen_layers_are_as_asked(base):
    mean, first = transformer(base), transformer(base, pooling="CLS")
    assert (mean.pooling, first.pooling) == ("Mean", "CLS")
    texts = phrases(6)
    apart = np.abs(embed(mean, texts, device=CPU) - embed(first, texts, device=CPU)).max()
    assert apart > 0.01
    narrow = transformer(base, dimension=8, frozen_layers=1)
    weight = narrow.projection.weight
    torch.testing.assert_close(weight @ weight.T, torch.eye(8), atol=1e-5, rtol=0)
    prepared = narrow.preprocessing.prepare(texts)
    narrow(torch.from_numpy(prepared[np.arange(6)])).sum().backward()
    moving = {name for name, each in narrow.named_parameters() if each.grad is not None}
    assert not any("embeddings" in name or "layer.0." in name for name in moving)
    assert any("layer.1." in name for name in moving) and "projection.weight" in moving
    with pytest.raises(NetworkError, match=r"frozenLayers is 3, but the base has 2"):
        transformer(base, frozen_layers=3)
    with pytest.raises(NetworkError, match=r"maxLength is 41, but the weights know 40"):
        transformer(base, max_length=41)


def test_an_artifact_is_exported_again_in_8_bits_and_is_another_space(
    published, store, tmp_path, capsys
):
    texts = phrases(240)
    rows = [{"input": text, "label": f"c{at // 2}"} for at, text in enumerate(texts.tolist())]
    (store / "goods.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = tmp_path / "set.json"
    wire = {"uri": f"file://{store}/goods.jsonl", "format": "JSONLines"}
    wire |= {"columns": {"input": "input", "label": "label"}, "split": {"evalFraction": "0.9"}}
    data.write_text(json.dumps(wire))
    digest = published["artifactDigest"]
    source = ("--store", f"file://{store}", "--artifact", digest, "--data", str(data))
    found = exported(*source, "--int8", "0.5")
    assert 0.5 <= found["int8Top10Overlap"] < 1
    assert found["spaceID"] != published["spaceID"]
    manifest, encoder = open_artifact(store, found["artifactDigest"], tmp_path / "int8")
    encoder.check_golden()
    assert (manifest.kind, encoder.kind) == (ArtifactKind.INT8, ArtifactKind.INT8)
    # No text changes another that it shares a batch with: by rounding alone, as in float32.
    alone = np.concatenate([encoder.encode(texts[at : at + 1]) for at in range(5)])
    assert np.abs(encoder.encode(texts)[:5] - alone).max() < 1e-6
    original, full = open_artifact(store, digest, tmp_path / "full")
    cosine = (full.encode(texts) * encoder.encode(texts)).sum(axis=1)
    assert 0.98 < cosine.mean() < 1
    assert manifest.model_digest != original.model_digest
    graph, before = tmp_path / "full/model.onnx", (tmp_path / "full/model.onnx").read_bytes()
    prepared = transformer(open_base(tmp_path / "full", original)).preprocessing.prepare(texts)
    with pytest.raises(ExportError, match=r"of 240 held-out items.*minTop10Overlap is 1:"):
        quantise(graph, prepared, Int8Spec(min_top10_overlap="1"))
    assert graph.read_bytes() == before
    assert main(["evaluate", *source]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["items"] == len(rows) * 0.9
    assert {"recallAt1", "mapAtR"} <= set(told["encoder"]) & set(told["raw"])


def test_published_weights_are_exported_in_float16_without_a_data_set(published, store, tmp_path):
    digest = published["artifactDigest"]
    options = ("--artifact", digest, "--weights", "Float16")
    found = exported("--store", f"file://{store}", *options)
    assert found["spaceID"] != published["spaceID"] and found["int8Top10Overlap"] is None
    assert found["float16"]["minCosine"] > 0.99
    # 16 sentences are too few to tell of neighbours.
    assert found["float16"]["top10Overlap"] is None
    manifest, encoder = open_artifact(store, found["artifactDigest"], tmp_path / "half")
    encoder.check_golden()
    assert (manifest.kind, encoder.kind) == (None, ArtifactKind.FLOAT32)
    original, full = open_artifact(store, digest, tmp_path / "full")
    sizes = [
        next(each.bytes for each in each_of.files if each.path == "model.onnx")
        for each_of in (original, manifest)
    ]
    assert sizes[1] < sizes[0]
    texts = phrases(240)
    rounded = transformer(open_base(tmp_path / "full", original))
    apart = np.abs(embed(rounded, texts, device=CPU) - encoder.encode(texts)).max()
    assert 1e-6 < apart < 1e-2
    with torch.no_grad():
        for weights in rounded.parameters():
            if weights.ndim > 1 and weights.numel() >= 256:
                weights.copy_(weights.half().float())
    # These layers magnify the last digit of float32, too: see the base and its artifact.
    assert np.abs(embed(rounded, texts, device=CPU) - encoder.encode(texts)).max() < 1e-5
    assert neighbour_overlap(full.encode(texts), encoder.encode(texts)) >= 0.99
    # A base keeps the numbers that it was made of.
    kept = load_file(tmp_path / "half" / "model.safetensors")
    before = load_file(tmp_path / "full" / "model.safetensors")
    assert all(torch.equal(kept[name], before[name]) for name in before)


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--folder", "/nowhere"], 2, "has no config.json"),
        (["--folder", "/nowhere", "--data", "x"], 2, "--data is for --int8 and for --weights"),
        (["--artifact", f"sha256:{'1' * 64}"], 6, "is not in the store"),
        (["--artifact", f"sha256:{'1' * 64}", "--pooling", "CLS"], 2, "are for --folder"),
        (["--folder", "/nowhere", "--int8", "0.9"], 2, "--int8 and --data go together"),
    ],
)
def test_an_export_that_cannot_be_is_told(store, capsys, options, code, said):
    assert main(["export", "--store", f"file://{store}", *options]) == code
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("config.json", json.dumps({"model_type": "gpt2", **SIZES}), "model_type.*Custom"),
        ("config.json", json.dumps({"model_type": "bert", **SIZES, "hidden_size": 8}), "differ"),
        ("1_Pooling/config.json", '{"pooling_mode_max_tokens": true}', "--pooling Mean or CLS"),
        ("sentence_bert_config.json", "{}", "--max-length"),
        ("tokenizer.json", "{}", r"tokenizer\.json cannot be loaded"),
    ],
)
def test_a_folder_that_is_not_understood_names_the_fix(folder, tmp_path, file, text, said):
    from shutil import copytree

    from lockstep_trainer.networks.transformer import published_transformer

    copytree(folder, tmp_path / "copy")
    (tmp_path / "copy" / file).write_text(text)
    with pytest.raises(NetworkError, match=said):
        published_transformer(open_folder(tmp_path / "copy"))


def test_bytes_go_to_onnx_and_back_and_padding_leaves_no_trace(tmp_path):
    spec = EncoderSpec(
        kind="CharCNN", dimension=8, width=4, max_length=90, matryoshka_dimensions=[4, 2]
    )
    network = build_network(spec, (), seed=0)
    texts = as_texts(["a", "Zürich", "東京都", "Санкт-Петербург", *phrases(20).tolist()])
    together = embed(network, texts, device=CPU)
    alone = np.concatenate([embed(network, texts[at : at + 1], device=CPU) for at in range(24)])
    assert np.abs(together - alone).max() < 1e-6
    done = export(network, texts, tmp_path)
    manifest = describe(network, done, tmp_path, provenance={})
    assert manifest.matryoshka_dimensions == (2, 4)
    encoder = Encoder.load(tmp_path, manifest)
    encoder.check_golden()
    assert np.abs(encoder.encode(texts) - together).max() < 1e-5
    source = BaseSpec(uri="file:///store", digest=f"sha256:{'0' * 64}")
    again = restore(tmp_path, manifest, source=source)
    assert (embed(again, texts, device=CPU) == together).all()
    assert again.preprocessing.contract() == network.preprocessing.contract()


@pytest.mark.parametrize("pixels", [None, PixelReading.AS_SHOWN])
def test_a_network_that_is_restored_reads_images_as_it_was_trained_to(tmp_path, pixels):
    network = build_network(EncoderSpec(kind="CNN", dimension=4, width=4), (8, 8), seed=0)
    assert network.preprocessing.input.pixels is PixelReading.AS_SHOWN
    items = np.random.default_rng(0).integers(0, 255, (8, 8, 8)).astype(np.uint8)
    network.preprocessing = Preprocessing(network.preprocessing.input.replace(pixels=pixels))
    manifest = describe(network, export(network, items, tmp_path), tmp_path, provenance={})
    assert manifest.input.pixels is pixels
    source = BaseSpec(uri="file:///store", digest=f"sha256:{'0' * 64}")
    again = restore(tmp_path, manifest, source=source)
    assert again.preprocessing.contract() == (tmp_path / "preprocess.json").read_bytes()


def test_few_items_tell_nothing_of_quantising(tmp_path):
    vectors = np.zeros((99, 3), np.float32)
    with pytest.raises(ExportError, match=r"needs 100 held-out items.*there are 99"):
        quantise(tmp_path / "model.onnx", vectors, Int8Spec())


def test_the_overlap_counts_neighbours_in_common():
    points = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
    assert neighbour_overlap(points, 3 * points) == 1.0
    other = np.random.default_rng(1).normal(size=(60, 5)).astype(np.float32)
    assert neighbour_overlap(points, other) == pytest.approx(10 / 59, abs=0.06)


class Pooled(nn.Module):
    """A user's own network of byte counts, that keeps the contract unless it is told not to."""

    def __init__(self, dimension: int, fault: str = "") -> None:
        super().__init__()
        self.embedding = nn.Embedding(256, dimension, padding_idx=0)
        self.norm = nn.BatchNorm1d(dimension) if fault == "batch" else nn.Identity()
        self.fault = fault

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        rows = self.embedding(inputs.long())
        pooled = self.norm(rows.mean(dim=1) if self.fault == "padding" else rows.sum(dim=1))
        if self.fault == "padding":
            pooled = pooled + inputs.shape[1]
        if self.fault == "raises":
            raise RuntimeError("no such\nlayer")
        if self.fault == "neighbours":
            pooled = pooled - pooled.mean(dim=0)
        if self.fault == "norm":
            return pooled
        return functional.normalize(pooled, dim=1)


def factory(*, shape: Any, width: int, dimension: int) -> nn.Module:
    return Pooled({5: dimension + 1}.get(width, dimension), FAULTS.get(width, ""))


FAULTS = {10: "batch", 11: "padding", 12: "raises", 13: "neighbours", 14: "norm"}
not_a_factory = 7


def custom(width: int = 4, name: str = "factory") -> Network:
    entry = f"{__name__}:{name}"
    return build_network(
        EncoderSpec(kind="Custom", dimension=6, width=width, entrypoint=entry), (), seed=0
    )


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or _this_module())


def _this_module() -> Any:
    from types import SimpleNamespace

    return SimpleNamespace(factory=factory, not_a_factory=not_a_factory)


def test_a_network_of_the_users_own_is_trained_like_ours(importable):
    network = custom()
    assert network.training
    found = embed(network, phrases(5), device=CPU)
    assert np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("width", "said"),
    [
        (5, r"gave torch\.float32 \[3, 7\], not torch\.float32 \[3, 6\]: encoder\.dimension is 6"),
        (10, r"norm is a BatchNorm1d.*Use GroupNorm or LayerNorm"),
        (11, r"alone and in a batch differ by"),
        (12, r"raise RuntimeError: no such"),
        (13, r"alone and in a batch differ by"),
        (14, r"its rows have the norms.*normalize"),
    ],
)
def test_a_network_that_breaks_the_contract_is_told_how(importable, width, said):
    with pytest.raises(NetworkError, match=said) as caught:
        custom(width)
    assert "The contract: it takes the items" in str(caught.value)


def test_an_entrypoint_that_is_not_there_names_the_image(importable):
    with pytest.raises(NetworkError, match="install the package in an image"):
        custom(name="absent")
    with pytest.raises(NetworkError, match="is a int, not a function"):
        custom(name="not_a_factory")


def test_weights_in_an_artifact_keep_their_names(published, store, tmp_path):
    open_artifact(store, published["artifactDigest"], tmp_path)
    names = set(load_file(tmp_path / "model.safetensors"))
    assert "trunk.encoder.layer.1.attention.self.query.weight" in names
    assert not any("pooler" in name for name in names)
