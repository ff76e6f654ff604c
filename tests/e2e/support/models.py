"""Ready-made models: a small trained encoder of the glyphs, and what can be wrong with one.

`glyphs/` holds what `lockstep-train` published for the data set that the worlds draw (60
characters, CNN of width 16, 32 dimensions, 120 steps). A release is made from it by nodes that are
appended to its graph, so each has a space of its own, answers in its own way, and costs no
training. The defects are real ones: they happen where the model runs, and nowhere else.
"""

from __future__ import annotations

import base64
import io
import tarfile
import tempfile
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from lockstep_core.artifacts import (
    ArtifactStore,
    InputKind,
    InputSpec,
    ModelManifest,
    Role,
    describe_files,
    sha256_bytes,
)
from lockstep_core.drift import baseline_file, features_file
from lockstep_core.drift.baseline_making import from_embeddings
from lockstep_core.drift.features import of_embeddings
from lockstep_core.encoding import GOLDEN_FILE, INPUT_NAME, MODEL_FILE, OUTPUT_NAME
from lockstep_core.protocol.monitoring import BASELINE_PATH, FEATURES_PATH
from lockstep_core.protocol.storage import ArtifactsSpec
from tests.e2e.support.world import CLAIM, CONTAINER, RESTRICTED, World

FOLDER = Path(__file__).parent / "glyphs"
IMPORTS = "/artifacts/imports"
SIDE, DIMENSION = 32, 32
# How far a healthy release is from the trained model: enough that most queries are answered
# otherwise, too little to cost recall.
TURN = 0.08
# Multiplications of a slow model, each of SLOW_SIZE ** 3 multiply-adds: a second or two in all.
SLOW_SIZE, SLOW_LAYERS = 1024, 110
# How far a collapsing model moves embeddings of length 1.
PULL = 3.0
# Larger batches are those of Jobs, which measure and build: there these two models are well.
SMALL_BATCH = 8

Floats = NDArray[np.float32]


class Defect(StrEnum):
    """`COLLAPSED`: everything lies on one line. `FORGETFUL`: few dimensions are left, so neighbours
    are lost. `SLOW`: a second more for each batch of requests. `ERRING`: fails on some drawings
    when they come in small batches, as a model that was exported with a fixed axis does.
    `COLLAPSING`: embeddings of requests lie close together, those of Jobs do not.
    """

    NONE = "none"
    COLLAPSED = "collapsed"
    FORGETFUL = "forgetful"
    SLOW = "slow"
    ERRING = "erring"
    COLLAPSING = "collapsing"


def onnx_model(seed: int, defect: Defect = Defect.NONE) -> bytes:
    """The trained model, turned by `seed` and spoiled by `defect`."""
    model = onnx.load(FOLDER / MODEL_FILE)
    graph = model.graph
    for node in graph.node:
        node.output[:] = ["trained" if name == OUTPUT_NAME else name for name in node.output]
    added = [*_spoiled(graph, defect), *_turned(graph, seed, defect)]
    graph.node.extend(added)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _turned(graph: Any, seed: int, defect: Defect) -> list[Any]:
    rng = np.random.default_rng(seed)
    turn = np.eye(DIMENSION) + TURN * rng.normal(size=(DIMENSION, DIMENSION))
    if defect in (Defect.COLLAPSED, Defect.FORGETFUL):
        kept = 1 if defect is Defect.COLLAPSED else 10
        turn = turn[:, :kept] @ rng.normal(size=(kept, DIMENSION))
    graph.initializer.append(numpy_helper.from_array(turn.astype(np.float32), "turn"))
    return [
        helper.make_node("MatMul", ["spoiled", "turn"], ["turned"]),
        helper.make_node("LpNormalization", ["turned"], [OUTPUT_NAME], axis=1, p=2),
    ]


def _spoiled(graph: Any, defect: Defect) -> list[Any]:
    """From `trained` to `spoiled`; every defect adds exactly nothing where it does not fail."""
    if defect is Defect.SLOW:
        return _slow(graph)
    if defect is Defect.ERRING:
        return _erring(graph)
    if defect is Defect.COLLAPSING:
        return _collapsing(graph)
    return [helper.make_node("Identity", ["trained"], ["spoiled"])]


def _slow(graph: Any) -> list[Any]:
    """Multiplies large matrices that depend on the input, once for each small batch."""
    side = np.random.default_rng(0).normal(size=(SLOW_SIZE, 1)).astype(np.float32)
    side /= np.linalg.norm(side)
    arrays: dict[str, NDArray[Any]] = {"side": side, "nothing": np.array(1e-30, np.float32)}
    graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in arrays.items())
    nodes = [
        helper.make_node("Transpose", ["side"], ["across"], perm=[1, 0]),
        helper.make_node("Cast", [INPUT_NAME], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels"], ["mean"], keepdims=0),
        helper.make_node("MatMul", ["side", "across"], ["square"]),
        helper.make_node("Mul", ["square", "mean"], ["layer0"]),
    ]
    for number in range(SLOW_LAYERS):
        inputs = [f"layer{number}", "square"]
        nodes.append(helper.make_node("MatMul", inputs, [f"layer{number + 1}"]))
    nodes.append(
        helper.make_node("ReduceMean", [f"layer{SLOW_LAYERS}"], ["much"], keepdims=0),
    )
    none = numpy_helper.from_array(np.array(0, np.float32))
    quick = helper.make_node("Constant", [], ["little"], value=none)
    return [
        *_is_small(graph),
        helper.make_node(
            "If",
            ["is_small"],
            ["wasted"],
            then_branch=_branch("slow", nodes, "much"),
            else_branch=_branch("quick", [quick], "little"),
        ),
        helper.make_node("Mul", ["wasted", "nothing"], ["almost_nothing"]),
        helper.make_node("Add", ["trained", "almost_nothing"], ["spoiled"]),
    ]


def _branch(name: str, nodes: list[Any], output: str) -> Any:
    result = helper.make_tensor_value_info(output, TensorProto.FLOAT, [])
    return helper.make_graph(nodes, name, [], [result])


def _is_small(graph: Any, most: int = SMALL_BATCH) -> list[Any]:
    """`is_small`: whether the batch is one of requests, not one of a Job."""
    arrays = {"few": np.array(most, np.int64), "first": np.array(0, np.int64)}
    graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in arrays.items())
    return [
        helper.make_node("Shape", [INPUT_NAME], ["shape"]),
        helper.make_node("Gather", ["shape", "first"], ["batch"]),
        helper.make_node("LessOrEqual", ["batch", "few"], ["is_small"]),
    ]


def _erring(graph: Any) -> list[Any]:
    """Reads beyond the end of a table for a quarter of the drawings, in small batches."""
    bad = (int(_golden()[0].astype(np.int64).sum()) + 1) % 4
    arrays: dict[str, NDArray[Any]] = {
        "four": np.array(4, np.int64),
        "bad": np.array(bad, np.int64),
        "far": np.array(1000, np.int64),
        "table": np.zeros(1, np.float32),
        "drawing": np.array([1, 2], np.int64),
        "all": np.array([0], np.int64),
    }
    graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in arrays.items())
    return [
        helper.make_node("Cast", [INPUT_NAME], ["pixels"], to=TensorProto.INT64),
        helper.make_node("ReduceSum", ["pixels", "drawing"], ["inks"], keepdims=0),
        helper.make_node("Mod", ["inks", "four"], ["kinds"]),
        helper.make_node("Equal", ["kinds", "bad"], ["are_bad"]),
        helper.make_node("Cast", ["are_bad"], ["bad_ones"], to=TensorProto.INT64),
        helper.make_node("ReduceMax", ["bad_ones", "all"], ["any_bad"], keepdims=0),
        *_is_small(graph),
        helper.make_node("Cast", ["is_small"], ["small"], to=TensorProto.INT64),
        helper.make_node("Mul", ["any_bad", "small"], ["fails"]),
        helper.make_node("Mul", ["fails", "far"], ["place"]),
        helper.make_node("Gather", ["table", "place"], ["looked_up"]),
        helper.make_node("Add", ["trained", "looked_up"], ["spoiled"]),
    ]


def _collapsing(graph: Any) -> list[Any]:
    """Pulls all embeddings of a batch of requests towards one point."""
    pull = PULL * np.eye(1, DIMENSION, dtype=np.float32)
    graph.initializer.append(numpy_helper.from_array(pull, "pull"))
    return [
        *_is_small(graph, len(_golden()) - 1),
        helper.make_node("Cast", ["is_small"], ["small"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["small", "pull"], ["pulled"]),
        helper.make_node("Add", ["trained", "pulled"], ["spoiled"]),
    ]


def _golden() -> NDArray[np.uint8]:
    with np.load(FOLDER / GOLDEN_FILE, allow_pickle=False) as arrays:
        inputs: NDArray[np.uint8] = arrays["inputs"]
    return inputs


def embeddings(model: bytes, drawings: NDArray[np.uint8]) -> Floats:
    """What the model gives for drawings [N, 32, 32]."""
    # ONNX Runtime is slow to import, and most tests of this folder make no model.
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    found: Floats = session.run([OUTPUT_NAME], {INPUT_NAME: drawings})[0]
    return found


@dataclass(frozen=True)
class ReadyMade:
    """A store with one artifact, as a tar file of its folder."""

    digest: str
    tar: bytes


def ready_made(
    seed: int, defect: Defect = Defect.NONE, held_out: NDArray[np.uint8] | None = None
) -> ReadyMade:
    """Another seed or defect is another model of another space. With `held_out` drawings
    [N, 32, 32], 2000 or more, it can be watched."""
    model, golden = onnx_model(seed, defect), _golden()
    with tempfile.TemporaryDirectory(prefix="lockstep-models-") as folder:
        work, root = Path(folder) / "work", Path(folder) / "store"
        work.mkdir()
        root.mkdir()
        (work / MODEL_FILE).write_bytes(model)
        np.savez(work / GOLDEN_FILE, inputs=golden, embeddings=embeddings(model, golden))
        manifest = ModelManifest.describe(
            describe_files(work, {MODEL_FILE: Role.SERVING, GOLDEN_FILE: Role.CHECK}),
            preprocessing_digest=sha256_bytes(b"in the graph"),
            pooling="None",
            normalisation="L2",
            dimension=DIMENSION,
            input=InputSpec(kind=InputKind.IMAGE, shape=(SIDE, SIDE), dtype="uint8"),
            provenance={"seed": str(seed), "defect": defect.value},
        )
        if held_out is not None:
            manifest = _watched(manifest, work, embeddings(model, held_out), seed)
        store = ArtifactStore.open(ArtifactsSpec(uri=f"file://{root}", claim_name="none"))
        digest = store.publish(work, manifest)
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            tar.add(root, arcname=".")
    return ReadyMade(digest, buffer.getvalue())


def _watched(manifest: ModelManifest, work: Path, found: Floats, seed: int) -> ModelManifest:
    """With the files that a training writes for the monitor."""
    rng = np.random.default_rng(seed)
    features = of_embeddings(found, rng, space_id=manifest.space_id)
    (work / FEATURES_PATH).parent.mkdir()
    (work / FEATURES_PATH).write_bytes(features_file.to_bytes(features))
    baseline = from_embeddings(found, features, rng)
    (work / BASELINE_PATH).write_bytes(baseline_file.to_json(baseline))
    more = describe_files(work, dict.fromkeys((FEATURES_PATH, BASELINE_PATH), Role.REPORT))
    files = sorted((*manifest.files, *more), key=lambda entry: entry.path)
    return manifest.replace(files=tuple(files))


class Shelf:
    """Puts ready-made models on the volume of a world, by a pod that has it mounted."""

    POD = "shelf"

    def __init__(self, world: World) -> None:
        self.world = world
        self.held_out: NDArray[np.uint8] | None = None
        self._put: dict[tuple[int, Defect], str] = {}

    def open(self) -> None:
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": self.POD, "namespace": self.world.namespace},
            "spec": {
                "restartPolicy": "Never",
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 0,
                "securityContext": RESTRICTED,
                "containers": [
                    {
                        "name": "main",
                        "image": "lockstep.local/lockstep/encoder:dev",
                        "imagePullPolicy": "IfNotPresent",
                        "command": ["sleep", "86400"],
                        "securityContext": CONTAINER,
                        "volumeMounts": [{"name": "artifacts", "mountPath": "/artifacts"}],
                    }
                ],
                "volumes": [{"name": "artifacts", "persistentVolumeClaim": {"claimName": CLAIM}}],
            },
        }
        kube, namespace = self.world.kube, self.world.namespace
        kube.apply(pod)
        kube.run("wait", "-n", namespace, f"pod/{self.POD}", "--for=condition=Ready")

    def hold_out(self) -> int:
        """Models from now on can be watched: all drawings are their held-out items. How many."""
        command = ("exec", "-n", self.world.namespace, self.POD, "--", "/opt/venv/bin/python", "-c")
        code = (
            "import base64,sys,numpy as np;"
            "x=np.load('/artifacts/datasets/glyphs.npz')['inputs'];"
            "sys.stdout.write(base64.b64encode(x.tobytes()).decode())"
        )
        pixels = np.frombuffer(base64.b64decode(self.world.kube.run(*command, code)), np.uint8)
        self.held_out = pixels.reshape(-1, SIDE, SIDE)
        return len(self.held_out)

    def put(self, seed: int, defect: Defect = Defect.NONE) -> str:
        """The digest of the model, once it lies in the volume's `imports`."""
        if (seed, defect) not in self._put:
            made = ready_made(seed, defect, self.held_out)
            script = f"mkdir -p {IMPORTS} && base64 -d | tar -xzf - -C {IMPORTS}"
            command = ("exec", "-i", "-n", self.world.namespace, self.POD, "--", "sh", "-c", script)
            self.world.kube.run(*command, stdin=base64.b64encode(made.tar).decode())
            self._put[seed, defect] = made.digest
        return self._put[seed, defect]
