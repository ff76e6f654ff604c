"""Orthogonal random Fourier features of a mixture of Gaussian kernels.

phi(x) = sqrt(2/D) [cos(xW), sin(xW)], so ||phi(x)|| = 1, and phi(x).phi(y) estimates the mean of
the kernels exp(-||x-y||^2 / (2 s^2)) over the bandwidths s (Rahimi & Recht 2007; the orthogonal
blocks of W: Yu et al. 2016, arXiv 1610.09072). Streams of numpy's generators are not promised from
one version to the next, so W is stored, never drawn again: see `features_file`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lockstep_core.drift import vectors
from lockstep_core.drift.errors import FeaturesError
from lockstep_core.drift.vectors import Float32
from lockstep_core.protocol.base import Contract, Sha256, SpaceID

SCHEMA: Literal["lockstep.dev/drift-features/v1"] = "lockstep.dev/drift-features/v1"

SIZE = 1024
# Half, once and twice the median distance: of the sets tried, the one with power on shifts, small
# clusters and noise alike.
SCALES = (0.5, 1.0, 2.0)
SAMPLE = 4096
MAX_DIM, MAX_SIZE = 16_384, 16_384

Width = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class FeaturesManifest(Contract):
    """What a features file says of its W."""

    schema_: Literal["lockstep.dev/drift-features/v1"] = Field(alias="schema")
    dim: int = Field(ge=1, le=MAX_DIM)
    size: int = Field(ge=2, le=MAX_SIZE, multiple_of=2)
    bandwidths: tuple[Width, ...] = Field(min_length=1, max_length=16)
    w_sha256: Sha256
    space_id: SpaceID | None = Field(default=None, alias="spaceID")


@dataclass(frozen=True, eq=False)
class Features:
    """`weights` W float32 [dim, D/2]; `bandwidths`, of which frequency j uses number j mod 3, in
    the units of the embeddings; the space that they are of, where that is known.

    Raises FeaturesError for other shapes, and for weights that are not finite.
    """

    weights: Float32
    bandwidths: tuple[float, ...]
    space_id: str | None = None

    def __post_init__(self) -> None:
        weights = self.weights
        if weights.ndim != 2 or weights.dtype != np.float32 or 0 in weights.shape:
            raise FeaturesError(
                f"weights are {weights.dtype} {list(weights.shape)}, not float32 [dim, D/2];"
                " make the features again"
            )
        if self.dim > MAX_DIM or self.size > MAX_SIZE:
            raise FeaturesError(
                f"dim {self.dim} and D {self.size} are above {MAX_DIM} and {MAX_SIZE};"
                " make features of fewer"
            )
        if not np.isfinite(weights).all():
            raise FeaturesError("weights are not all finite; make the features again")
        if not self.bandwidths or not all(0 < width < np.inf for width in self.bandwidths):
            raise FeaturesError(f"bandwidths {self.bandwidths} are not all positive and finite")

    @property
    def dim(self) -> int:
        """Of an embedding."""
        return int(self.weights.shape[0])

    @property
    def size(self) -> int:
        """D, of phi."""
        return 2 * int(self.weights.shape[1])

    @cached_property
    def digest(self) -> str:
        """`sha256:<64 hex>` of the manifest, and by it of W: the identity of these features.
        Sketches of other features cannot be merged with theirs."""
        return vectors.digest(self.manifest.to_wire())

    @cached_property
    def manifest(self) -> FeaturesManifest:
        return FeaturesManifest(
            schema_=SCHEMA,
            dim=self.dim,
            size=self.size,
            bandwidths=self.bandwidths,
            w_sha256=vectors.sha256(self.weight_bytes()),
            space_id=self.space_id,
        )

    def weight_bytes(self) -> bytes:
        """W, row by row, as little-endian float32."""
        return np.ascontiguousarray(self.weights, dtype="<f4").tobytes()

    @property
    def scale(self) -> float:
        """sqrt(2/D), by which `waves` is phi."""
        return float(np.sqrt(2.0 / self.size))

    def waves(self, embeddings: NDArray[np.floating]) -> Float32:
        """[cos(xW), sin(xW)] float32 [n, D] of embeddings [n, dim]: sums are scaled once, after."""
        angles = np.asarray(embeddings, dtype=np.float32) @ self.weights
        half = angles.shape[1]
        waves = np.empty((len(angles), 2 * half), dtype=np.float32)
        np.cos(angles, out=waves[:, :half])
        np.sin(angles, out=waves[:, half:])
        return waves

    def __call__(self, embeddings: NDArray[np.floating]) -> Float32:
        """phi float32 [n, D] of embeddings [n, dim]."""
        waves = self.waves(embeddings)
        waves *= np.float32(self.scale)
        return waves


def of_embeddings(
    embeddings: NDArray[np.floating],
    rng: np.random.Generator,
    *,
    size: int = SIZE,
    space_id: str | None = None,
) -> Features:
    """Features whose bandwidths fit a sample of embeddings [n, dim]. See `scale_of` and `draw`."""
    sigma = scale_of(embeddings, rng)
    widths = tuple(scale * sigma for scale in SCALES)
    return draw(int(np.shape(embeddings)[1]), widths, rng, size=size, space_id=space_id)


def scale_of(embeddings: NDArray[np.floating], rng: np.random.Generator) -> float:
    """sqrt(median ||x-x'||^2 / 2) over the pairs of at most 4,096 embeddings.

    Raises FeaturesError for fewer than two, for numbers that are not finite, and where half of the
    pairs are equal.
    """
    x = np.asarray(embeddings, dtype=np.float32)
    if x.ndim != 2 or len(x) < 2:
        raise FeaturesError(f"embeddings are {list(x.shape)}, not [n, dim] with n >= 2; give more")
    if len(x) > SAMPLE:
        x = x[rng.choice(len(x), SAMPLE, replace=False)]
    if not np.isfinite(x).all():
        raise FeaturesError("embeddings are not all finite; leave those rows out")
    squares = np.einsum("ij,ij->i", x, x)
    distances = squares[:, None] + squares[None, :] - 2 * (x @ x.T)
    median = float(np.median(distances[np.triu_indices(len(x), 1)]))
    if not median > 1e-12:
        raise FeaturesError("half of the pairs of embeddings are equal; give distinct ones")
    return float(np.sqrt(median / 2))


def draw(
    dim: int,
    bandwidths: tuple[float, ...],
    rng: np.random.Generator,
    *,
    size: int = SIZE,
    space_id: str | None = None,
) -> Features:
    """W of orthogonal Gaussian blocks: columns of Q of a QR decomposition, uniform over the
    rotations, each as long as a Gaussian vector is, which is chi distributed with `dim` degrees."""
    if dim < 1 or size < 2 or size % 2:
        raise FeaturesError(f"dim {dim} must be positive and D {size} even and positive")
    half, blocks = size // 2, []
    for _ in range(-(-half // dim)):
        q, r = np.linalg.qr(rng.standard_normal((dim, dim)))
        lengths = np.sqrt(rng.chisquare(dim, dim))
        blocks.append(q * np.sign(np.diag(r)) * lengths)
    widths = np.resize(np.asarray(bandwidths, dtype=np.float64), half)
    weights = np.concatenate(blocks, axis=1)[:, :half] / widths
    return Features(np.ascontiguousarray(weights, dtype=np.float32), bandwidths, space_id)
