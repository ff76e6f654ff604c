"""A real corpus (letters in PIL's own font), a tiny real encoder, a store, real processes."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image, ImageDraw, ImageFont

from lockstep_core.artifacts import ArtifactStore, ModelManifest, Role, describe_files
from lockstep_core.artifacts.digests import sha256_bytes
from lockstep_core.artifacts.manifest import InputKind, InputSpec
from lockstep_core.jobs import Reporter, Stopping
from lockstep_core.protocol.config import BuildConfig, IndexServerConfig
from lockstep_core.protocol.environment import TERMINATION_PATH_VARIABLE
from lockstep_core.protocol.result import BuildFacts, Result
from lockstep_core.protocol.storage import ArtifactsSpec
from lockstep_indexer import building

SIDE = 20
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIMENSION = 16


def draw(letter: str, variant: int) -> NDArray[np.uint8]:
    """One letter, 20 x 20 pixels; `variant` sets its size, place and slant."""
    size = 11 + variant % 4
    page = Image.new("L", (SIDE, SIDE))
    pen = ImageDraw.Draw(page)
    place = (2 + variant // 4 % 4, 1 + variant // 16 % 4)
    pen.text(place, letter, fill=255, font=ImageFont.load_default(size))
    return np.asarray(page.rotate((variant % 7 - 3) * 4), dtype=np.uint8)


@dataclass(frozen=True)
class Letters:
    path: Path
    inputs: NDArray[np.uint8]
    labels: NDArray[np.str_]
    ids: NDArray[np.str_]


@pytest.fixture(scope="session")
def store_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture(scope="session")
def artifacts(store_root: Path) -> ArtifactsSpec:
    return ArtifactsSpec(uri=f"file://{store_root}", claim_name="artifacts")


@pytest.fixture(scope="session")
def store(artifacts: ArtifactsSpec) -> ArtifactStore:
    return ArtifactStore.open(artifacts)


@pytest.fixture(scope="session")
def letters(store_root: Path) -> Letters:
    """26 letters, 40 drawings each."""
    pairs = [(letter, variant) for letter in LETTERS for variant in range(40)]
    inputs = np.stack([draw(*pair) for pair in pairs])
    labels = np.array([letter for letter, _ in pairs])
    ids = np.array([f"{letter}-{variant:02}" for letter, variant in pairs])
    path = store_root / "letters.npz"
    np.savez(path, inputs=inputs, labels=labels, ids=ids)
    return Letters(path, inputs, labels, ids)


def encoder_graph(seed: int) -> onnx.ModelProto:
    """Pixels → flatten → random projection → L2 norm. Without a bias: a blank page embeds to 0."""
    weights = np.random.default_rng(seed).normal(size=(SIDE * SIDE, DIMENSION)) / 255
    node = helper.make_node
    nodes = [
        node("Cast", ["input"], ["pixels"], to=TensorProto.FLOAT),
        node("Flatten", ["pixels"], ["flat"]),
        node("MatMul", ["flat", "weights"], ["projected"]),
        node("ReduceL2", ["projected", "axes"], ["norm"], keepdims=1),
        node("Max", ["norm", "least"], ["divisor"]),
        node("Div", ["projected", "divisor"], ["sentence_embedding"]),
    ]
    constants = [
        numpy_helper.from_array(weights.astype(np.float32), "weights"),
        numpy_helper.from_array(np.array([1], dtype=np.int64), "axes"),
        numpy_helper.from_array(np.array(1e-6, dtype=np.float32), "least"),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "letters",
        [value("input", TensorProto.UINT8, ["batch", SIDE, SIDE])],
        [value("sentence_embedding", TensorProto.FLOAT, ["batch", DIMENSION])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


@dataclass(frozen=True)
class Model:
    digest: str
    space: str
    embed: Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@pytest.fixture(scope="session")
def publish_model(
    store: ArtifactStore, letters: Letters, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[int], Model]:
    """Publishes the encoder of a seed; two seeds have the same width and different spaces."""
    import onnxruntime

    def publish(seed: int) -> Model:
        folder = tmp_path_factory.mktemp(f"model-{seed}-")
        onnx.save(encoder_graph(seed), folder / "model.onnx")
        session = onnxruntime.InferenceSession(folder / "model.onnx")

        def embed(inputs: NDArray[np.uint8]) -> NDArray[np.float32]:
            (found,) = session.run(None, {"input": inputs})
            return np.asarray(found, dtype=np.float32)

        golden = letters.inputs[5::65]
        np.savez(folder / "golden.npz", inputs=golden, embeddings=embed(golden))
        manifest = ModelManifest.describe(
            describe_files(folder, {"model.onnx": Role.SERVING, "golden.npz": Role.CHECK}),
            preprocessing_digest=sha256_bytes(b"none"),
            pooling="None",
            normalisation="L2",
            dimension=DIMENSION,
            input=InputSpec(kind=InputKind.IMAGE, shape=(SIDE, SIDE), dtype="uint8"),
            provenance={},
        )
        return Model(store.publish(folder, manifest), manifest.space_id, embed)

    return publish


@pytest.fixture(scope="session")
def model(publish_model: Callable[[int], Model]) -> Model:
    return publish_model(1)


class Configure(Protocol):
    def __call__(self, **changes: Any) -> BuildConfig: ...


@pytest.fixture(scope="session")
def configure(artifacts: ArtifactsSpec, model: Model, letters: Letters) -> Configure:
    """A build config; fields by their wire names replace the usual ones."""

    def made(**changes: Any) -> BuildConfig:
        usual = {
            "release": "letters-r1",
            "releaseUID": "uid-1",
            "artifacts": artifacts.to_wire(),
            "artifactDigest": model.digest,
            "spaceID": model.space,
            "index": "letters",
            "source": {"uri": f"file://{letters.path}", "format": "NPZ"},
            "recipe": {"type": "HNSW"},
            "objectives": {"recall": {"k": 10}},
        }
        return BuildConfig.model_validate({**usual, **changes})

    return made


class Build(Protocol):
    def __call__(self, config: BuildConfig) -> BuildFacts: ...


@pytest.fixture(scope="session")
def build() -> Build:
    """Builds in this process, into the store of the config."""

    def made(config: BuildConfig) -> BuildFacts:
        reporter = Reporter("Build", config.release, stream=io.StringIO())
        return building.build(config, ArtifactStore.open(config.artifacts), reporter, Stopping())

    return made


class Flip(Protocol):
    def __call__(self, root: Path, digest: str, name: str) -> None: ...


@pytest.fixture(scope="session")
def flip() -> Flip:
    """Flips one bit of the last byte of a file of an artifact, as it lies in the store `root`."""

    def flipped(root: Path, digest: str, name: str) -> None:
        manifest = root / "manifests" / "sha256" / digest.removeprefix("sha256:")
        entries = json.loads(manifest.read_text())["files"]
        (found,) = [entry["sha256"] for entry in entries if entry["path"] == name]
        path = root / "blobs" / "sha256" / found.removeprefix("sha256:")
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)

    return flipped


@pytest.fixture
def store_copy(store_root: Path, tmp_path: Path) -> ArtifactsSpec:
    """The store as it is now, to be damaged."""
    shutil.copytree(store_root, tmp_path / "copy")
    return ArtifactsSpec(uri=f"file://{tmp_path}/copy", claim_name="artifacts")


@dataclass
class Program:
    """A running `lockstep-indexer`, and what it said."""

    process: subprocess.Popen[str]
    termination: Path
    lines: list[str] = field(default_factory=list)
    port: int = 0
    listening: threading.Event = field(default_factory=threading.Event)

    def read_log(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if match := re.search(r"listening on port (\d+)", line):
                self.port = int(match[1])
                self.listening.set()
        self.listening.set()

    def wait(self, seconds: float = 60) -> int:
        return self.process.wait(seconds)

    @property
    def result(self) -> Result:
        return Result.from_json(self.termination.read_text())

    @property
    def url(self) -> str:
        assert self.listening.wait(60) and self.port, "".join(self.lines)
        return f"http://127.0.0.1:{self.port}"

    def until_ready(self, seconds: float = 60) -> Program:
        transport = httpx.HTTPTransport(retries=3)
        with httpx.Client(base_url=self.url, transport=transport) as client:
            for _ in range(int(seconds * 20)):
                if client.get("/readyz").status_code == 200:
                    return self
                if self.process.poll() is not None:
                    break
                threading.Event().wait(0.05)
        raise AssertionError("not ready: " + "".join(self.lines))

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)


class Run(Protocol):
    def __call__(self, config: BuildConfig | IndexServerConfig, *arguments: str) -> Program: ...


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Starts the program with a config; what still runs at the end is killed."""
    started: list[Program] = []

    def begin(config: BuildConfig | IndexServerConfig, *arguments: str) -> Program:
        folder = tmp_path_factory.mktemp("run")
        (folder / "config.json").write_text(json.dumps(config.to_wire()))
        command = "build" if isinstance(config, BuildConfig) else "serve"
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            TERMINATION_PATH_VARIABLE: str(folder / "termination"),
        }
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "lockstep_indexer", command),
                *("--config", str(folder / "config.json"), *arguments),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        program = Program(process, folder / "termination")
        threading.Thread(target=program.read_log, daemon=True).start()
        started.append(program)
        return program

    yield begin
    for program in started:
        program.process.kill()
        program.process.wait()
