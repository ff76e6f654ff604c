"""The encoder's own series. Names are in `lockstep_core.protocol.metrics`."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from lockstep_core.protocol import metrics as names
from lockstep_core.serving.observe import SECONDS_BUCKETS

BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class EncoderMetrics:
    """Queue, batches, refusals and identity."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.queue_depth = Gauge(
            names.ENCODER_QUEUE_DEPTH, "Items admitted and not yet embedded.", registry=registry
        )
        self.batch_items = Histogram(
            names.ENCODER_BATCH_ITEMS, "Items of a batch.", buckets=BATCH_BUCKETS, registry=registry
        )
        self.infer_seconds = Histogram(
            names.ENCODER_INFER_SECONDS,
            "Seconds that the model took for a batch.",
            buckets=SECONDS_BUCKETS,
            registry=registry,
        )
        self.rejected = Counter(
            names.ENCODER_REJECTED,
            "Requests that were not embedded, by reason.",
            ("reason",),
            registry=registry,
        )
        self.pairing_refusals = Counter(
            names.ENCODER_PAIRING_REFUSALS,
            "Answers of an index server that were withheld, as it is not this release's index.",
            ("index", "reason"),
            registry=registry,
        )
        self.info = Gauge(
            names.ENCODER_INFO, "Who serves; always 1.", ("release", "space"), registry=registry
        )
