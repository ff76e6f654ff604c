"""Real searches at the entry point: unseen characters, drawn in one font."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from examples.glyphs.demo.cluster import MODEL, NAMESPACE, Cluster
from lockstep_core.datasets import split_by_class
from lockstep_core.protocol.datasets import SplitSpec
from lockstep_kubectl.api import Api

DATASET_PATH = "/artifacts/datasets/glyphs.npz"


@dataclass(frozen=True)
class Glyphs:
    """The drawings: `inputs` [N, 32, 32] uint8, the character and the id of each."""

    inputs: NDArray[np.uint8]
    labels: NDArray[np.str_]
    ids: NDArray[np.str_]

    def png(self, row: int) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(self.inputs[row], mode="L").save(buffer, "PNG")
        return buffer.getvalue()

    def data_uri(self, row: int) -> str:
        return "data:image/png;base64," + base64.b64encode(self.png(row)).decode()


@dataclass(frozen=True)
class Hit:
    """One neighbour: its drawing, and whether it is the character that was asked for."""

    row: int
    label: str
    distance: float
    is_same: bool


@dataclass(frozen=True)
class Answer:
    """One query and its neighbours, and who answered."""

    row: int
    hits: tuple[Hit, ...]
    release: str
    space_id: str
    index_space_id: str


def fetch_glyphs(cluster: Cluster, release: str, into: Path) -> Glyphs:
    """Reads the data set from the volume, through a pod of the release that serves."""
    raw = cluster.kubectl(
        *("exec", "-n", NAMESPACE, f"deploy/{release}-encoder", "-c", "main"),
        *("--", "cat", DATASET_PATH),
    )
    path = into / "glyphs.npz"
    path.write_bytes(raw)
    with np.load(path, allow_pickle=False) as arrays:
        return Glyphs(arrays["inputs"], arrays["labels"], arrays["ids"])


def choose_queries(glyphs: Glyphs, split: SplitSpec, count: int, seed: int) -> list[int]:
    """One drawing each of `count` characters that the model never saw."""
    _, unseen = split_by_class(glyphs.labels, split)
    random = np.random.default_rng(seed)
    characters = random.permutation(np.unique(glyphs.labels[unseen]))[:count]
    return [int(random.choice(np.flatnonzero(glyphs.labels == c))) for c in characters]


def ask(api: Api, glyphs: Glyphs, rows: list[int], *, k: int = 12) -> list[Answer]:
    """Searches each drawing; the drawing itself is left out of its own answer."""
    rows_by_id = {str(name): row for row, name in enumerate(glyphs.ids)}
    answers = []
    for row in rows:
        body = {"input": glyphs.data_uri(row), "k": k}
        answer = api.ask_entry(NAMESPACE, MODEL, "/v1/search", body)
        hits = [
            Hit(rows_by_id[h["id"]], h["label"], h["distance"], h["label"] == glyphs.labels[row])
            for h in answer["results"][0]
            if h["id"] != glyphs.ids[row]
        ]
        answers.append(
            Answer(row, tuple(hits), answer["release"], answer["spaceID"], answer["indexSpaceID"])
        )
    return answers
