"""`lockstep-train export`: a model artifact from weights that exist, with no training."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from lockstep_core.artifacts import ArtifactStore, ModelManifest
from lockstep_core.datasets import load_dataset, split
from lockstep_core.encoding import Encoder, Raw
from lockstep_core.jobs import JobFailure
from lockstep_core.protocol.artifacts import PixelReading
from lockstep_core.protocol.base import Sha256
from lockstep_core.protocol.datasets import LabelledDataset
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.storage import ArtifactsSpec
from lockstep_core.protocol.training import Int8Spec
from lockstep_core.protocol.training.encoder import BaseSpec, Overlong, Pooling
from lockstep_trainer.artifact.export import Exported, evenly_spaced, export
from lockstep_trainer.artifact.manifest import describe
from lockstep_trainer.artifact.watching import ITEMS, add_watching
from lockstep_trainer.commands.data import read_data
from lockstep_trainer.commands.sentences import sentences_for
from lockstep_trainer.networks import Network, NetworkError
from lockstep_trainer.networks.onnx_graph import ExportError
from lockstep_trainer.networks.restoring import restore
from lockstep_trainer.networks.transformer import published_transformer
from lockstep_trainer.pretrained.hugging_face import open_folder
from lockstep_trainer.pretrained.published_keys import FolderRefused


@dataclass(frozen=True)
class ExportOptions:
    """`folder` (published weights) or `artifact` (of `store`), and what to make of it."""

    store: str
    folder: Path | None = None
    artifact: Sha256 | None = None
    pooling: Pooling | None = None
    max_length: int | None = None
    prompt: str | None = None
    overlong: Overlong | None = None
    int8: str | None = None
    data: Path | None = None


def publish(options: ExportOptions) -> dict[str, object]:
    """Exports, checks what was written as a server would, publishes; returns what to print.

    Raises JobFailure, or what `as_failure` knows, with nothing published.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="lockstep-export-") as folder:
            return _publish(options, Path(folder))
    except ExportError as error:
        raise JobFailure(ExitCode.EXPORT_FAILED, "ExportDiffers", str(error)) from error
    except FolderRefused as error:
        raise JobFailure(ExitCode.BAD_DATASET, "PublishedModelRefused", str(error)) from error
    except NetworkError as error:
        raise JobFailure(ExitCode.BAD_CONFIG, "EncoderDoesNotFit", str(error)) from error


def _publish(options: ExportOptions, work: Path) -> dict[str, object]:
    store = ArtifactStore.open(ArtifactsSpec(uri=options.store), field="--store")
    network, items, source = _source(options, store, work)
    if options.data is not None:
        reading = network.preprocessing.input.reading
        items = _held_out(read_data(options.data), store, work, reading)
    files = work / "files"
    files.mkdir()
    int8 = None if options.int8 is None else Int8Spec(min_top10_overlap=options.int8)
    exported = export(network, items, files, int8=int8)
    manifest = describe(network, exported, files, provenance={"source": source})
    encoder = Encoder.load(files, manifest)
    encoder.check_golden()
    warnings: list[str] = []
    measured = encoder.encode(items[evenly_spaced(len(items), ITEMS)])
    manifest = add_watching(manifest, files, measured, seed=0, warn=warnings.append)
    return _shown(store.publish(files, manifest), manifest, exported, warnings)


def _source(options: ExportOptions, store: ArtifactStore, work: Path) -> tuple[Network, Raw, str]:
    """The network, items to prove its graph with, and a word about where it is from."""
    if options.folder is not None:
        published = open_folder(
            options.folder,
            pooling=options.pooling,
            max_length=options.max_length,
            overlong=options.overlong or Overlong.REFUSE,
            prompt=options.prompt,
        )
        transformer = published_transformer(published)
        return transformer, sentences_for(transformer.preprocessing), options.folder.name
    assert options.artifact is not None
    digest, fetched = options.artifact, work / "source"
    manifest = store.fetch(digest, fetched, ModelManifest)
    network = restore(fetched, manifest, source=BaseSpec(uri=options.store, digest=digest))
    return network, Encoder.load(fetched, manifest).golden_inputs, digest


def _held_out(
    spec: LabelledDataset, store: ArtifactStore, work: Path, reading: PixelReading
) -> Raw:
    dataset = load_dataset(spec, store, work, reading=reading)
    _, rows = split(dataset, spec.split)
    chosen: Raw = dataset.inputs[rows]
    return chosen


def _shown(
    digest: Sha256, manifest: ModelManifest, exported: Exported, warnings: list[str]
) -> dict[str, object]:
    return {
        "artifactDigest": digest,
        "modelDigest": manifest.model_digest,
        "spaceID": manifest.space_id,
        "dimension": manifest.dimension,
        "pooling": manifest.pooling,
        "parity": exported.parity.to_wire(),
        "int8Top10Overlap": exported.overlap,
        "warnings": warnings,
    }
