"""`serve`: from a build digest to a server that answers from exactly that build."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry, Histogram

from lockstep_core.artifacts import ArtifactStore, BuildManifest
from lockstep_core.protocol import metrics
from lockstep_core.protocol.config import IndexServerConfig
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.result import Program
from lockstep_core.serving.identity import Identity
from lockstep_core.serving.observe import gauge, histogram
from lockstep_core.serving.serve import Host, Server, in_thread
from lockstep_core.serving.startup import StartError
from lockstep_indexer.api import APIS, render, routes
from lockstep_indexer.engines import use_one_thread
from lockstep_indexer.opened_build import OpenedBuild, golden_difference, open_build
from lockstep_indexer.search_executor import Cost, SearchExecutor, measure_cost

logger = logging.getLogger(__name__)

SEARCH_BUCKETS = (1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5)


def load_build(config: IndexServerConfig, directory: Path) -> OpenedBuild:
    """Fetches the build into `directory`, verifies every byte, and only then opens it.

    Raises StoreError; ArtifactError when a byte differs; and StartError (DIGEST_MISMATCH) when
    the build belongs to another space or its files do not make up one index.
    """
    store = ArtifactStore.open(config.artifacts)
    manifest = store.fetch(config.build_digest, directory, BuildManifest)
    refuse_other_space(manifest, config)
    try:
        return open_build(directory, manifest)
    except (ValueError, KeyError) as error:
        raise StartError(
            ExitCode.DIGEST_MISMATCH,
            "UnusableBuild",
            f"build {config.build_digest} has the promised bytes and cannot be opened: {error}."
            " Build the index again.",
        ) from error


def refuse_other_space(manifest: BuildManifest, config: IndexServerConfig) -> None:
    """The width of two spaces may be equal: only the space's identity tells them apart."""
    if manifest.space_id == config.space_id:
        return
    raise StartError(
        ExitCode.DIGEST_MISMATCH,
        "SpaceMismatch",
        f"build {config.build_digest} of index {manifest.index} belongs to space"
        f" {manifest.space_id}, but release {config.release} serves space {config.space_id}:"
        " vectors of two spaces cannot be compared, so it is not served. Build the index again"
        " with the release's own encoder.",
    )


def check_golden(build: OpenedBuild) -> None:
    """Raises `StartError` (SELF_CHECK_FAILED) when the index answers otherwise than when sealed."""
    if difference := golden_difference(build):
        raise StartError(
            ExitCode.SELF_CHECK_FAILED,
            "GoldenMismatch",
            f"the index {build.manifest.index} does not answer as it did when it was sealed:"
            f" {difference}. The bytes are right, so the processor or the FAISS version computes"
            " something else: use the image that built it, or build the index again.",
        )


def _index_metrics(
    registry: CollectorRegistry, config: IndexServerConfig, build: OpenedBuild
) -> Histogram:
    """Says which build this is; returns the histogram of seconds in the index itself."""
    gauge(metrics.INDEX_ROWS, registry).set(build.manifest.rows)
    gauge(metrics.INDEX_INFO, registry).labels(
        config.release, config.index, build.manifest.space_id, config.build_digest
    ).set(1)
    return histogram(metrics.INDEX_SEARCH_SECONDS, registry, SEARCH_BUCKETS)


def _prepare(config: IndexServerConfig, directory: Path) -> tuple[OpenedBuild, Cost]:
    use_one_thread()  # as the threads that will search: the cost is measured as it will be
    begun = time.perf_counter()
    build = load_build(config, directory)
    check_golden(build)
    cost = measure_cost(build)
    logger.info(
        "opened build %s: %d rows, %d vectors in %.2f s; a search takes %.3f ms, an"
        " exact one %.3f ms",
        config.build_digest,
        build.rows,
        build.searcher.rows,
        time.perf_counter() - begun,
        cost.approximate * 1e3,
        cost.exact * 1e3,
    )
    return build, cost


@asynccontextmanager
async def start(config: IndexServerConfig, host: Host, threads: int) -> AsyncIterator[None]:
    """Loads, checks, answers; see `lockstep_core.serving.serve.Start`."""
    with tempfile.TemporaryDirectory(prefix="lockstep-index-") as directory:
        host.lifecycle.wait_for("start", "the build is fetched, verified and opened")
        build, cost = await in_thread(lambda: _prepare(config, Path(directory)))
        seconds = _index_metrics(host.registry, config, build)
        executor = SearchExecutor(
            build, cost, render=render, threads=threads, observe=seconds.observe
        )
        space = build.manifest.space_id
        host.mount(
            Identity(config.release, space, index_space=space, build=config.build_digest),
            routes(build, executor),
            APIS,
            requests=metrics.INDEX_REQUESTS,
            seconds=metrics.INDEX_REQUEST_SECONDS,
        )
        try:
            yield
        finally:
            executor.close()


def index_server(*, threads: int) -> Server[IndexServerConfig]:
    """The program `serve`; `threads` search at once."""
    return Server(
        program=Program.SERVE_INDEX,
        config_type=IndexServerConfig,
        release_of=lambda config: config.release,
        start=partial(start, threads=threads),
    )
