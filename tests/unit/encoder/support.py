"""A tiny real model (ONNX), a real corpus (letters), a real store, and real server processes."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image, ImageDraw, ImageFont

from lockstep_core.artifacts import (
    ArtifactStore,
    InputKind,
    InputSpec,
    ModelManifest,
    Role,
    describe_files,
    sha256_bytes,
)
from lockstep_core.encoding import GOLDEN_FILE, INPUT_NAME, MODEL_FILE, OUTPUT_NAME, Preprocessing
from lockstep_core.protocol.artifacts import ArtifactKind, PixelReading
from lockstep_core.protocol.config import EncoderConfig, IndexEndpoint
from lockstep_core.protocol.environment import CONFIG_VARIABLE, TERMINATION_PATH_VARIABLE
from lockstep_core.protocol.result import Result
from lockstep_core.protocol.storage import ArtifactsSpec
from lockstep_core.quality.recall import exact_neighbours

SIDE, DIMENSION, GOLDEN_ITEMS, GOLDEN_K = 16, 12, 6, 5
INDEX_SERVER = Path(__file__).with_name("exact_index_server.py")
BUILD = f"sha256:{'1' * 64}"


def letters() -> tuple[NDArray[np.uint8], NDArray[np.str_]]:
    """Six drawings of each capital letter: uint8 [156, 16, 16], and their labels."""
    images, labels = [], []
    for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ":
        for variant in range(6):
            page = Image.new("L", (SIDE, SIDE))
            font = ImageFont.load_default(10 + variant % 3)
            ImageDraw.Draw(page).text((2 + variant // 3, 1 + variant % 2), letter, 255, font)
            images.append(np.asarray(page))
            labels.append(letter)
    return np.stack(images), np.array(labels)


@dataclass(frozen=True)
class PublishedModel:
    digest: str
    manifest: ModelManifest
    weights: NDArray[np.float32]
    golden: NDArray[np.uint8]

    def embed(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What the encoder must answer, in numpy."""
        found = images.reshape(len(images), -1).astype(np.float32) @ self.weights
        normalised: NDArray[np.float32] = found / np.linalg.norm(found, axis=1, keepdims=True)
        return normalised


def _onnx_model(weights: NDArray[np.float32]) -> bytes:
    """uint8 [B, 16, 16] -> flatten -> matmul -> L2 normalise."""
    nodes = [
        helper.make_node("Cast", [INPUT_NAME], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["real"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "weights"], ["projected"]),
        helper.make_node("LpNormalization", ["projected"], [OUTPUT_NAME], axis=1, p=2),
    ]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info(INPUT_NAME, TensorProto.UINT8, ["B", SIDE, SIDE])],
        [helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, ["B", DIMENSION])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def artifacts(root: Path) -> ArtifactsSpec:
    return ArtifactsSpec(uri=f"file://{root}", claim_name="artifacts")


def publish_model(
    root: Path,
    work: Path,
    seed: int,
    *,
    kind: ArtifactKind = ArtifactKind.FLOAT32,
    pixels: PixelReading | None = None,
) -> PublishedModel:
    work.mkdir(parents=True)
    weights = np.random.default_rng(seed).normal(size=(SIDE * SIDE, DIMENSION)).astype(np.float32)
    images, _ = letters()
    golden = images[:: len(images) // GOLDEN_ITEMS][:GOLDEN_ITEMS]
    (work / MODEL_FILE).write_bytes(_onnx_model(weights))
    unsealed = PublishedModel("", None, weights, golden)  # type: ignore[arg-type]
    np.savez(work / GOLDEN_FILE, inputs=golden, embeddings=unsealed.embed(golden))
    spec = InputSpec(kind=InputKind.IMAGE, shape=(SIDE, SIDE), dtype="uint8", pixels=pixels)
    manifest = ModelManifest.describe(
        describe_files(work, {MODEL_FILE: Role.SERVING, GOLDEN_FILE: Role.CHECK}),
        preprocessing_digest=sha256_bytes(Preprocessing(spec).contract() if pixels else b"none"),
        pooling="None",
        normalisation="L2",
        dimension=DIMENSION,
        input=spec,
        provenance={"seed": str(seed)},
        kind=kind,
    )
    digest = ArtifactStore.open(artifacts(root)).publish(work, manifest)
    return PublishedModel(digest, manifest, weights, golden)


@dataclass
class Running:
    process: subprocess.Popen[str]
    port: int
    termination: Path
    # What it wrote once it listened.
    log: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def result(self) -> Result:
        return Result.from_json(self.termination.read_text())

    def waiting(self) -> dict[str, str]:
        found: dict[str, str] = httpx.get(f"{self.url}/readyz").json()["waiting"]
        return found

    def until_ready(self) -> Running:
        for _ in range(600):
            if not self.waiting():
                return self
            time.sleep(0.05)
        raise AssertionError(f"never ready: {self.waiting()}")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


Spawn = Callable[..., Running]


@contextmanager
def spawning(folder: Path) -> Iterator[Spawn]:
    """Starts programs that listen; all are gone at the end."""
    with ExitStack() as stack:

        def spawn(arguments: list[str], config: Any, **more: str) -> Running:
            termination = folder / f"termination-{len(list(folder.iterdir()))}"
            termination.touch()
            environment = {
                **os.environ,
                CONFIG_VARIABLE: json.dumps(config),
                TERMINATION_PATH_VARIABLE: str(termination),
                "OMP_NUM_THREADS": "1",
                **more,
            }
            process = subprocess.Popen(
                [sys.executable, *arguments],
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            running = Running(process, 0, termination)
            stack.callback(running.stop)
            assert process.stderr is not None
            lines = []
            for line in process.stderr:
                lines.append(line)
                if found := re.search(r"listening on port (\d+)", line):
                    running.port = int(found.group(1))
                    break
            else:
                process.wait()
            # Somebody must read on, or the program would block on a full pipe.
            threading.Thread(target=running.log.extend, args=(process.stderr,), daemon=True).start()
            return running

        yield spawn


def index_config(
    model: PublishedModel,
    folder: Path,
    *,
    space: str | None = None,
    build: str = BUILD,
    queries: NDArray[np.float32] | None = None,
) -> dict[str, Any]:
    """Config of an exact index server over the letters, embedded by `model`.

    It was sealed with the golden `queries` and tells them, as an index server does; or it is an
    older one, that does not.
    """
    images, labels = letters()
    vectors = model.embed(images)
    golden = model.embed(model.golden) if queries is None else queries
    rows, distances = exact_neighbours(golden, vectors, GOLDEN_K)
    ids = [f"{label}{row}" for row, label in enumerate(labels)]
    results = [
        [
            {"id": ids[row], "label": str(labels[row]), "distance": float(distance)}
            for row, distance in zip(hits, apart, strict=True)
        ]
        for hits, apart in zip(rows, distances, strict=True)
    ]
    sealed = {}
    if queries is not None:
        sealed["queries"] = base64.b64encode(queries.astype("<f4").tobytes()).decode()
    path = folder / f"index-{len(list(folder.glob('index-*')))}.npz"
    np.savez(path, vectors=vectors, labels=labels, ids=np.array(ids))
    return {
        "release": "letters-r1",
        "spaceID": space or model.manifest.space_id,
        "build": build,
        "vectors": str(path),
        "golden": {"k": GOLDEN_K, "results": results} | sealed,
    }


def endpoint(url: str, model: PublishedModel, *, name: str = "letters") -> IndexEndpoint:
    return IndexEndpoint(name=name, url=url, build_digest=BUILD, space_id=model.manifest.space_id)


def encoder_config(
    root: Path, model: PublishedModel, *indexes: IndexEndpoint, **changes: Any
) -> dict[str, Any]:
    config = EncoderConfig(
        model="letters",
        release="letters-r1",
        artifacts=artifacts(root),
        artifact_digest=model.digest,
        space_id=model.manifest.space_id,
        indexes=indexes,
    )
    return {**config.to_wire(), **changes}


def encoder_arguments(*more: str) -> list[str]:
    return ["-m", "lockstep_encoder", "serve", "--host", "127.0.0.1", "--port", "0", *more]


@dataclass(frozen=True)
class Pair:
    encoder: Running
    index: Running
    model: PublishedModel
