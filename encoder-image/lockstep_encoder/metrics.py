"""The encoder's own series. What each is stands in `lockstep_core.protocol.metrics`."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from lockstep_core.protocol import metrics as names
from lockstep_core.serving.observe import counter, gauge, histogram

BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class EncoderMetrics:
    """Queue, batches, refusals and identity."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.queue_depth = gauge(names.ENCODER_QUEUE_DEPTH, registry)
        self.batch_items = histogram(names.ENCODER_BATCH_ITEMS, registry, BATCH_BUCKETS)
        self.infer_seconds = histogram(names.ENCODER_INFER_SECONDS, registry)
        self.rejected = counter(names.ENCODER_REJECTED, registry)
        self.pairing_refusals = counter(names.ENCODER_PAIRING_REFUSALS, registry)
        self.monitor_observed = counter(names.ENCODER_MONITOR_OBSERVED, registry)
        self.monitor_sampled = counter(names.ENCODER_MONITOR_SAMPLED, registry)
        self.monitor_dropped = counter(names.ENCODER_MONITOR_DROPPED, registry)
        self.info = gauge(names.ENCODER_INFO, registry)
