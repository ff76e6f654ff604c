"""`lockstep-encoder serve`: from the config to a verified pair that answers."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from lockstep_core.jobs import parse_config
from lockstep_core.protocol import metrics as names
from lockstep_core.protocol.config import CanaryConfig, EncoderConfig
from lockstep_core.protocol.environment import (
    CANARY_VARIABLE,
    DEFAULT_INDEX_VARIABLE,
    MONITOR_VARIABLE,
)
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.monitoring import TapConfig
from lockstep_core.protocol.result import Program
from lockstep_core.serving.admission import Admission
from lockstep_core.serving.identity import Identity
from lockstep_core.serving.serve import Host, Server, ServerOptions, in_thread, run_server
from lockstep_core.serving.startup import StartError
from lockstep_encoder.api import Api
from lockstep_encoder.batching import Batcher
from lockstep_encoder.index_client import IndexClient
from lockstep_encoder.index_watch import IndexWatch
from lockstep_encoder.metrics import EncoderMetrics
from lockstep_encoder.model import Model, load
from lockstep_encoder.pairing import verify
from lockstep_encoder.tap import open_tap

logger = logging.getLogger(__name__)


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
        canary, tap = canary_config(), tap_config()
        host.lifecycle.wait_for("model", f"loading artifact {config.artifact_digest}")
        for index in config.indexes:
            host.lifecycle.wait_for(f"index {index.name}", "waiting for the model")
        model = await in_thread(
            lambda: load(
                config,
                threads=options.threads,
                max_batch_items=options.max_batch_items,
                tap=tap,
            )
        )
        async with AsyncExitStack() as stack:
            client = await _serve_model(model, config, host, options, stack, tap)
            if canary is not None:
                watch = IndexWatch(
                    canary,
                    config.indexes,
                    client,
                    host.lifecycle,
                    clock=asyncio.get_running_loop().time,
                )
                stack.push_async_callback(_cancel, asyncio.create_task(watch.run()))
            yield

    return run_server(
        Server(Program.SERVE_ENCODER, EncoderConfig, lambda config: config.release, start),
        config_path,
        options.server,
    )


def canary_config() -> CanaryConfig | None:
    """What a candidate is told beside its config. Raises JobFailure (BAD_CONFIG) for nonsense."""
    text = os.environ.get(CANARY_VARIABLE)
    return parse_config(CanaryConfig, text, source=CANARY_VARIABLE) if text else None


def tap_config() -> TapConfig | None:
    """What an encoder is told of the monitor beside it. Nonsense is logged: it serves without."""
    text = os.environ.get(MONITOR_VARIABLE)
    try:
        return TapConfig.model_validate_json(text) if text else None
    except ValidationError as error:
        logger.warning("%s cannot be used, so nothing is watched: %s", MONITOR_VARIABLE, error)
        return None


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


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
    model: Model,
    config: EncoderConfig,
    host: Host,
    options: ServeOptions,
    stack: AsyncExitStack,
    tap: TapConfig | None,
) -> IndexClient:
    """Mounts the API and returns once every index proved to be ours."""
    metrics = EncoderMetrics(host.registry)
    metrics.info.labels(model.release, model.space).set(1)
    admission = Admission(options.max_queue_items)
    most = options.max_batch_items
    batcher = Batcher(model.encoder.encode, max_items=most, admission=admission, metrics=metrics)
    stack.push_async_callback(batcher.close)
    client = IndexClient()
    stack.push_async_callback(client.close)
    host.lifecycle.watch("inference", batcher.broken)
    opened = stack.enter_context(open_tap(tap, model, metrics))
    api = Api(
        model,
        batcher,
        admission,
        metrics,
        client=client,
        indexes={index.name: index for index in config.indexes},
        default_index=os.environ.get(DEFAULT_INDEX_VARIABLE) or None,
        tap=opened,
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
    return client


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
