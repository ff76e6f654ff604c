"""The exported files: one graph that embeds as torch does, the same bytes every time."""

from __future__ import annotations

import json
import logging

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file

from lockstep_core.artifacts import InputKind, InputSpec, ModelManifest, describe_files, sha256_file
from lockstep_core.encoding import Encoder
from lockstep_core.protocol.artifacts import PixelReading
from lockstep_core.protocol.training import EncoderSpec
from lockstep_trainer.artifact.export import compare, evenly_spaced, export
from lockstep_trainer.evaluation import embed
from lockstep_trainer.networks import build_network
from lockstep_trainer.networks.onnx_graph import ExportError

pytestmark = [pytest.mark.unit, pytest.mark.programs]

CPU = torch.device("cpu")


def vectors(count: int = 40) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 9)).astype(np.float32)


def colours(count: int = 70) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 12, 20, 3), dtype=np.uint8)


CASES = {
    "cnn-grey": ("CNN", lambda glyphs: glyphs[0]),
    "cnn-colour": ("CNN", lambda glyphs: colours()),
    "mlp-vectors": ("MLP", lambda glyphs: vectors()),
}


def contract(inputs: np.ndarray) -> InputSpec:
    image = inputs.dtype == np.uint8
    return InputSpec(
        kind=InputKind.IMAGE if image else InputKind.VECTOR,
        shape=inputs.shape[1:],
        dtype=str(inputs.dtype),
        pixels=PixelReading.AS_SHOWN if image else None,
    )


@pytest.mark.parametrize("case", list(CASES))
def test_the_encoder_loads_the_files_and_embeds_as_torch_does(
    tmp_path, glyphs, capfd, caplog, case
):
    kind, choose = CASES[case]
    inputs = choose(glyphs)
    spec = contract(inputs)
    encoder_spec = EncoderSpec(kind=kind, dimension=8, width=8)
    network = build_network(encoder_spec, spec.shape, seed=0)

    with caplog.at_level(logging.INFO):
        exported = export(network, inputs, tmp_path)
    parity = exported.parity

    assert capfd.readouterr().out == ""
    assert not caplog.records
    assert parity.items == min(64, len(inputs))
    assert parity.max_absolute <= 1e-4
    manifest = ModelManifest.describe(
        describe_files(tmp_path, exported.roles),
        preprocessing_digest=sha256_file(tmp_path / "preprocess.json"),
        pooling=network.pooling,
        normalisation="L2",
        dimension=8,
        input=spec,
        provenance={},
    )
    encoder = Encoder.load(tmp_path, manifest)
    encoder.check_golden()
    assert len(encoder.golden_inputs) == 32
    for part in (inputs[:1], inputs[:3], inputs):
        apart = np.abs(encoder.encode(part) - embed(network, part, device=CPU))
        assert apart.max() <= 1e-4
    assert {path.name for path in tmp_path.iterdir()} == set(exported.roles)
    weights = load_file(tmp_path / "model.safetensors")
    assert all(torch.equal(weights[name], value) for name, value in network.state_dict().items())
    assert json.loads((tmp_path / "preprocess.json").read_text()) == spec.to_wire()


def test_equal_networks_give_equal_bytes_that_name_no_path(tmp_path, glyphs):
    spec = contract(glyphs[0])
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        network = build_network(EncoderSpec(kind="CNN", dimension=8, width=8), spec.shape, seed=4)
        export(network, glyphs[0], tmp_path / name)
    for file in ("model.onnx", "preprocess.json", "golden.npz"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    data = (tmp_path / "one" / "model.onnx").read_bytes()
    assert b".py" not in data
    model = onnx.load_from_string(data)
    assert [entry.version for entry in model.opset_import if entry.domain == ""] == [18]
    assert {entry.data_location for entry in model.graph.initializer} == {onnx.TensorProto.DEFAULT}


def test_another_embedding_is_refused_with_numbers_and_bounds():
    wanted = np.eye(4, dtype=np.float32)
    moved = wanted.copy()
    moved[0, 1] = 2e-3
    with pytest.raises(ExportError, match=r"0\.002 \(at most 0\.0001.*over 4 items"):
        compare(moved, wanted)
    with pytest.raises(ExportError):
        compare(np.full((4, 4), np.nan, dtype=np.float32), wanted)
    assert compare(wanted, wanted).max_absolute == 0.0


@pytest.mark.parametrize(("count", "wanted"), [(1, 64), (10, 4), (64, 64), (1000, 64)])
def test_evenly_spaced_rows_are_distinct_and_span_the_set(count, wanted):
    rows = evenly_spaced(count, wanted)
    assert len(set(rows.tolist())) == len(rows) == min(count, wanted)
    assert rows[0] == 0
    assert rows[-1] == count - 1
