"""What a sealed build holds, and how it is opened: the same way after sealing and in a server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lockstep_core.artifacts import BuildManifest, Role
from lockstep_core.protocol.artifacts import ArtifactKind
from lockstep_core.quality.agreement import neighbour_difference
from lockstep_indexer.distinct import OFFSETS_FILE, ROWS_FILE, RowGroups, open_groups
from lockstep_indexer.engines import Distances, Rows, Searcher, engine_of
from lockstep_indexer.exact import exact_measured, measured
from lockstep_indexer.strings import StringColumn, column_files, open_column
from lockstep_indexer.vectors import StoredVectors, Vectors

INDEX_FILE = "index.faiss"
VECTORS_FILE = "vectors.f16.npy"
IDS, LABELS = "ids", "labels"
GOLDEN_FILE = "golden.npz"
REPORT_FILE = "report.json"

ROLES = {
    INDEX_FILE: Role.SERVING,
    VECTORS_FILE: Role.SERVING,
    **dict.fromkeys((*column_files(IDS), *column_files(LABELS)), Role.SERVING),
    GOLDEN_FILE: Role.CHECK,
    REPORT_FILE: Role.REPORT,
}
# Of a corpus in which several rows have one vector.
GROUP_ROLES = {ROWS_FILE: Role.SERVING, OFFSETS_FILE: Role.SERVING}

GOLDEN_K = 10
READ_BLOCK = 8 * 1024 * 1024


def roles_of(*, shared: bool) -> dict[str, Role]:
    """The files of a build; `shared` when several rows of it have one vector."""
    return ROLES | GROUP_ROLES if shared else ROLES


class ContentsError(ValueError):
    """The files are the ones that the manifest lists, and do not make up one index."""


@dataclass(frozen=True)
class Golden:
    """The model's golden inputs, embedded (n, d), and what the build answered: (n, k) each."""

    queries: Vectors
    rows: Rows
    distances: Distances

    @property
    def k(self) -> int:
        return int(self.rows.shape[1])


@dataclass(frozen=True)
class Hit:
    id: str
    label: str
    distance: float


@dataclass(frozen=True)
class OpenedBuild:
    """An index that answers. Immutable: any number of threads may search it.

    `searcher` and `vectors` number distinct vectors where `groups` say which rows have them, else
    rows. All other numbers are of rows.
    """

    manifest: BuildManifest
    searcher: Searcher
    vectors: StoredVectors
    ids: StringColumn
    labels: StringColumn
    golden: Golden
    groups: RowGroups | None = None

    @property
    def rows(self) -> int:
        """Rows that a search can answer with."""
        return self.searcher.rows if self.groups is None else len(self.groups.rows)

    def search(self, queries: Vectors, k: int, *, exact: bool = False) -> tuple[Rows, Distances]:
        """Rows and Euclidean distances (n, min(k, rows)), nearest first, every place filled.

        Equal distances go by row number. `exact` compares with every stored vector. A graph whose
        walk reaches fewer than k vectors would give a short list in silence: those queries are
        answered exactly instead.
        """
        return search_whole(
            self.searcher, self.vectors, queries, k, groups=self.groups, exact=exact
        )

    def hits(self, rows: Rows, distances: Distances) -> list[list[Hit]]:
        """Names of the rows that `search` found."""
        return [
            [
                Hit(self.ids[row], self.labels[row], distance)
                for row, distance in zip(chosen, apart, strict=True)
            ]
            for chosen, apart in zip(rows.tolist(), distances.tolist(), strict=True)
        ]


def search_whole(
    searcher: Searcher,
    vectors: StoredVectors,
    queries: Vectors,
    k: int,
    *,
    groups: RowGroups | None,
    exact: bool = False,
) -> tuple[Rows, Distances]:
    """See `OpenedBuild.search`; for the build, which searches before there is a manifest."""
    # The k nearest rows have k vectors at the most.
    found, distances = _nearest(searcher, vectors, queries, min(k, searcher.rows), exact)
    if groups is not None:
        found, distances = groups.expand(found, distances, min(k, len(groups.rows)))
    return found, distances.astype(np.float32)


def _nearest(
    searcher: Searcher, vectors: StoredVectors, queries: Vectors, k: int, exact: bool
) -> tuple[Rows, NDArray[np.float64]]:
    """The k nearest vectors that the index finds, every place filled."""
    if exact:
        return exact_measured(queries, vectors, k)
    found, distances = measured(queries, vectors, searcher.search(queries, k))
    short = np.flatnonzero((found < 0).any(axis=1))
    if len(short):
        found[short], distances[short] = exact_measured(queries[short], vectors, k)
    return found, distances


def write_golden(directory: Path, golden: Golden) -> None:
    np.savez(
        directory / GOLDEN_FILE,
        queries=golden.queries,
        rows=golden.rows,
        distances=golden.distances,
    )


def _open_golden(directory: Path) -> Golden:
    with np.load(directory / GOLDEN_FILE, allow_pickle=False) as arrays:
        return Golden(arrays["queries"], arrays["rows"], arrays["distances"])


def open_build(directory: Path, manifest: BuildManifest) -> OpenedBuild:
    """Opens a **verified** build (`ArtifactStore.fetch`). Raises `ContentsError`, `MappingError`
    or `UnusableIndexError` when the files do not belong together.

    Files that queries touch at random are read once from end to end, so that no query waits
    for the disk.
    """
    roles = roles_of(shared=manifest.distinct_vectors is not None)
    if missing := sorted(roles.keys() - {entry.path for entry in manifest.files}):
        raise ContentsError(f"the manifest lists no {', '.join(missing)}")
    for name, role in roles.items():
        if role == Role.SERVING:
            _prewarm(directory / name)
    groups = None
    if manifest.distinct_vectors is not None:
        groups = open_groups(directory, vectors=manifest.distinct_vectors, rows=manifest.rows)
    searcher = engine_of(manifest.recipe).open(
        directory / INDEX_FILE, dimension=manifest.dimension, rows=manifest.vectors
    )
    vectors = np.load(directory / VECTORS_FILE, mmap_mode="r", allow_pickle=False)
    build = OpenedBuild(
        manifest,
        searcher,
        vectors,
        open_column(directory, IDS),
        open_column(directory, LABELS),
        _open_golden(directory),
        groups,
    )
    _check_shapes(build)
    return build


def _prewarm(path: Path) -> None:
    """Reads a file from end to end.

    It is mapped with MADV_RANDOM: without this the first queries would each wait for the disk.
    """
    with path.open("rb", buffering=0) as stream:
        while stream.read(READ_BLOCK):
            pass


def _check_shapes(build: OpenedBuild) -> None:
    rows, dimension = build.manifest.rows, build.manifest.dimension
    golden = build.golden
    for name, shape, expected in (
        (VECTORS_FILE, build.vectors.shape, (build.manifest.vectors, dimension)),
        (IDS, (len(build.ids),), (rows,)),
        (LABELS, (len(build.labels),), (rows,)),
        (f"{GOLDEN_FILE} queries", golden.queries.shape, (len(golden.rows), dimension)),
        (f"{GOLDEN_FILE} distances", golden.distances.shape, golden.rows.shape),
    ):
        if shape != expected:
            raise ContentsError(f"{name} has shape {shape}, the manifest makes it {expected}")
    if build.vectors.dtype != np.float16:
        raise ContentsError(f"{VECTORS_FILE} is {build.vectors.dtype}, must be float16")
    if golden.rows.size and not (golden.rows.min() >= 0 and golden.rows.max() < rows):
        raise ContentsError(f"{GOLDEN_FILE} names rows that are not among 0 to {rows - 1}")


def golden_difference(build: OpenedBuild) -> str | None:
    """What this index answers otherwise than when it was sealed; None when it answers the same.

    The queries are sealed vectors and no encoder runs, so whatever made them, rounding is that of
    float32.
    """
    golden = build.golden
    answers = build.hits(*build.search(golden.queries, golden.k))
    sealed = build.hits(golden.rows, golden.distances)
    for query, (expected, got) in enumerate(zip(sealed, answers, strict=True)):
        if cause := neighbour_difference(expected, got, ArtifactKind.FLOAT32):
            return f"golden query {query}: {cause}"
    return None
