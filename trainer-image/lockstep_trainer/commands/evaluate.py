"""`lockstep-train evaluate`: what a published artifact is worth on a data set, as it serves."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from lockstep_core.artifacts import ArtifactStore, ModelManifest
from lockstep_core.datasets import flatten_raw, load_dataset, split
from lockstep_core.encoding import Encoder
from lockstep_core.jobs import JobFailure
from lockstep_core.protocol.base import Sha256
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.storage import ArtifactsSpec
from lockstep_core.threads import cpu_threads
from lockstep_trainer.commands.data import read_data
from lockstep_trainer.evaluation import assess


@dataclass(frozen=True)
class EvaluateOptions:
    """`artifact` of `store`, and the file that names the data set."""

    store: str
    artifact: Sha256
    data: Path


def evaluate(options: EvaluateOptions) -> dict[str, object]:
    """Quality of the held-out items of the set, by the ONNX graph, beside raw inputs.

    Raises what `as_failure` knows.
    """
    store = ArtifactStore.open(ArtifactsSpec(uri=options.store), field="--store")
    spec = read_data(options.data)
    with tempfile.TemporaryDirectory(prefix="lockstep-evaluate-") as folder:
        fetched = Path(folder) / "model"
        manifest = store.fetch(options.artifact, fetched, ModelManifest)
        encoder = Encoder.load(fetched, manifest, threads=cpu_threads())
        encoder.check_golden()
        dataset = load_dataset(spec, store, Path(folder), reading=encoder.input.reading)
        _, rows = split(dataset, spec.split)
        inputs, labels = dataset.inputs[rows], dataset.labels[rows]
        embeddings = encoder.encode(inputs)
    try:
        assessments = {
            "encoder": assess(embeddings, labels),
            "raw": assess(flatten_raw(inputs), labels),
        }
    except ValueError as error:
        raise JobFailure(ExitCode.BAD_DATASET, "NotMeasurable", str(error)) from error
    return {
        "artifactDigest": options.artifact,
        "spaceID": manifest.space_id,
        "datasetDigest": dataset.digest,
        "items": len(labels),
        **{name: quality.to_wire() for name, quality in assessments.items()},
    }
