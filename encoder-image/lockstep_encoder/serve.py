"""`lockstep-encoder serve`: from the config to a verified pair that answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lockstep_core.protocol import metrics as names
from lockstep_core.protocol.config import EncoderConfig
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.result import Program
from lockstep_core.serving.admission import Admission
from lockstep_core.serving.identity import Identity
from lockstep_core.serving.serve import Host, Server, ServerOptions, in_thread, run_server
from lockstep_core.serving.startup import StartError
from lockstep_encoder.api import Api
from lockstep_encoder.batching import Batcher
from lockstep_encoder.index_client import IndexClient
from lockstep_encoder.metrics import EncoderMetrics
from lockstep_encoder.model import Model, load
from lockstep_encoder.pairing import verify


@dataclass(frozen=True)
class ServeOptions:
    """`threads` of one inference. Items are images or vectors."""

    threads: int = 1
    max_batch_items: int = 64
    max_queue_items: int = 1024
    server: ServerOptions = field(default_factory=ServerOptions)


def serve(config_path: Path | None, options: ServeOptions) -> int:
    """Serves until SIGTERM; returns the exit code."""

    @asynccontextmanager
    async def start(config: EncoderConfig, host: Host) -> AsyncIterator[None]:
        check_spaces(config)
        host.lifecycle.wait_for("model", f"loading artifact {config.artifact_digest}")
        for index in config.indexes:
            host.lifecycle.wait_for(f"index {index.name}", "waiting for the model")
        model = await in_thread(
            lambda: load(config, threads=options.threads, max_batch_items=options.max_batch_items)
        )
        async with AsyncExitStack() as stack:
            await _serve_model(model, config, host, options, stack)
            yield

    return run_server(
        Server(Program.SERVE_ENCODER, EncoderConfig, lambda config: config.release, start),
        config_path,
        options.server,
    )


def check_spaces(config: EncoderConfig) -> None:
    """Raises `StartError` when an index of the config is not of the encoder's space."""
    for index in config.indexes:
        if index.space_id != config.space_id:
            raise StartError(
                ExitCode.BAD_CONFIG,
                "MixedPair",
                f"index {index.name} is of space {index.space_id}, the encoder is of space"
                f" {config.space_id}: an encoder serves only indexes of its own space. Build the"
                " index with this release's model.",
            )


async def _serve_model(
    model: Model, config: EncoderConfig, host: Host, options: ServeOptions, stack: AsyncExitStack
) -> None:
    """Mounts the API and returns once every index proved to be ours."""
    metrics = EncoderMetrics(host.registry)
    metrics.info.labels(model.release, model.space).set(1)
    admission = Admission(options.max_queue_items)
    batcher = Batcher(
        model.encoder.encode,
        max_items=options.max_batch_items,
        admission=admission,
        metrics=metrics,
    )
    stack.push_async_callback(batcher.close)
    client = IndexClient()
    stack.push_async_callback(client.close)
    host.lifecycle.watch("inference", batcher.broken)
    api = Api(
        model,
        batcher,
        admission,
        metrics,
        client=client,
        indexes={index.name: index for index in config.indexes},
        clock=asyncio.get_running_loop().time,
    )
    host.mount(
        Identity(release=model.release, space=model.space),
        api.routes(),
        api.apis(),
        requests=names.ENCODER_REQUESTS,
        seconds=names.ENCODER_REQUEST_SECONDS,
    )
    host.lifecycle.passed("model")
    await _verify_indexes(model, batcher, client, config, host)


async def _verify_indexes(
    model: Model, batcher: Batcher, client: IndexClient, config: EncoderConfig, host: Host
) -> None:
    """Raises `StartError` when an index answers the golden items otherwise than when sealed."""
    golden = (await batcher.embed(model.encoder.golden_inputs)).vectors
    await asyncio.gather(
        *(
            verify(client, index, golden, model.encoder.kind, host.lifecycle)
            for index in config.indexes
        )
    )
