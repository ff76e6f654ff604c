"""The Prometheus series that programs expose, each said once.

A program registers its rows, and the operator counts every counter and histogram of `ENCODER`, so
that a live gate on a new one needs its row here, the place in the encoder that feeds it, and the
gate. It counts from the first scrape of an analysis on: rows are of events that go on, not of what
happens once per process. Text such as an f-string shows a row as its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class MetricKind(StrEnum):
    """As Prometheus calls them."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True)
class Metric:
    """One series, or one for each value of its labels."""

    name: str
    kind: MetricKind
    help: str
    labels: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name


def requests_of(name: str) -> Metric:
    """The counter of the requests that a server answered."""
    text = "Requests answered, by API and status code."
    return Metric(name, MetricKind.COUNTER, text, ("api", "code"))


def request_seconds_of(name: str) -> Metric:
    """The histogram of the seconds that they took."""
    text = "Seconds from a request's headers to the end of its response; refusals (4xx) apart."
    return Metric(name, MetricKind.HISTOGRAM, text, ("api",))


ENCODER_REQUESTS = requests_of("lockstep_encoder_requests_total")
ENCODER_REQUEST_SECONDS = request_seconds_of("lockstep_encoder_request_seconds")
ENCODER_QUEUE_DEPTH = Metric(
    "lockstep_encoder_queue_depth", MetricKind.GAUGE, "Items admitted and not yet embedded."
)
ENCODER_BATCH_ITEMS = Metric(
    "lockstep_encoder_batch_items", MetricKind.HISTOGRAM, "Items of a batch."
)
ENCODER_INFER_SECONDS = Metric(
    "lockstep_encoder_infer_seconds",
    MetricKind.HISTOGRAM,
    "Seconds that the model took for a batch.",
)
# Reasons: Overloaded, DeadlineExceeded, Cancelled.
ENCODER_REJECTED = Metric(
    "lockstep_encoder_rejected_total",
    MetricKind.COUNTER,
    "Requests that were not embedded, by reason.",
    ("reason",),
)
ENCODER_PAIRING_REFUSALS = Metric(
    "lockstep_encoder_pairing_refusals_total",
    MetricKind.COUNTER,
    "Answers of an index server that were withheld, as it is not this release's index.",
    ("index", "reason"),
)
# What is chosen and not delivered has a reason: Full (the monitor does not keep up), NoMonitor.
ENCODER_MONITOR_OBSERVED = Metric(
    "lockstep_encoder_monitor_observed_total",
    MetricKind.COUNTER,
    "Embeddings that the monitor's sample is chosen from, by role.",
    ("role",),
)
ENCODER_MONITOR_SAMPLED = Metric(
    "lockstep_encoder_monitor_sampled_total",
    MetricKind.COUNTER,
    "Embeddings that were chosen for the monitor, by role.",
    ("role",),
)
ENCODER_MONITOR_DROPPED = Metric(
    "lockstep_encoder_monitor_dropped_total",
    MetricKind.COUNTER,
    "Embeddings that were chosen and not delivered to the monitor, by reason.",
    ("reason",),
)
ENCODER_INFO = Metric(
    "lockstep_encoder_info", MetricKind.GAUGE, "Who serves; always 1.", ("release", "space")
)
ENCODER = (
    ENCODER_REQUESTS,
    ENCODER_REQUEST_SECONDS,
    ENCODER_QUEUE_DEPTH,
    ENCODER_BATCH_ITEMS,
    ENCODER_INFER_SECONDS,
    ENCODER_REJECTED,
    ENCODER_PAIRING_REFUSALS,
    ENCODER_MONITOR_OBSERVED,
    ENCODER_MONITOR_SAMPLED,
    ENCODER_MONITOR_DROPPED,
    ENCODER_INFO,
)

INDEX_REQUESTS = requests_of("lockstep_index_requests_total")
INDEX_REQUEST_SECONDS = request_seconds_of("lockstep_index_request_seconds")
INDEX_SEARCH_SECONDS = Metric(
    "lockstep_index_search_seconds",
    MetricKind.HISTOGRAM,
    "Seconds of one search in the index, without waiting and HTTP.",
)
INDEX_ROWS = Metric("lockstep_index_rows", MetricKind.GAUGE, "Rows of the index.")
INDEX_INFO = Metric(
    "lockstep_index_info",
    MetricKind.GAUGE,
    "Always 1: which build this server answers from.",
    ("release", "index", "space", "build"),
)
INDEX = (INDEX_REQUESTS, INDEX_REQUEST_SECONDS, INDEX_SEARCH_SECONDS, INDEX_ROWS, INDEX_INFO)


# Reasons: Malformed, Features, Dimension, NoModel.
MONITOR_REFUSED = Metric(
    "lockstep_monitor_refused_datagrams_total",
    MetricKind.COUNTER,
    "Datagrams that were not summed up, by reason.",
    ("reason",),
)
MONITOR_EMBEDDINGS = Metric(
    "lockstep_monitor_embeddings_total",
    MetricKind.COUNTER,
    "Embeddings that came from the encoder, by role.",
    ("role",),
)
MONITOR_DUPLICATES = Metric(
    "lockstep_monitor_duplicates_total",
    MetricKind.COUNTER,
    "Embeddings that were in their window before, by role; of closed windows.",
    ("role",),
)
MONITOR_INVALID = Metric(
    "lockstep_monitor_invalid_total",
    MetricKind.COUNTER,
    "Embeddings that are none (nan, zero, dim, norm), by role and reason; of closed windows.",
    ("role", "reason"),
)
MONITOR_UPDATE_SECONDS = Metric(
    "lockstep_monitor_update_seconds",
    MetricKind.HISTOGRAM,
    "Seconds that a datagram took to be summed up.",
)
MONITOR_WINDOW_EMBEDDINGS = Metric(
    "lockstep_monitor_window_embeddings",
    MetricKind.GAUGE,
    "Distinct embeddings of the window that closed last, by role.",
    ("role",),
)
MONITOR_OPEN_WINDOW = Metric(
    "lockstep_monitor_open_window",
    MetricKind.GAUGE,
    "Number of the window that is being filled.",
)
MONITOR_BETS = Metric("lockstep_monitor_bets", MetricKind.GAUGE, "Bets that hold or wait.")
MONITOR_RECALL_QUERIES = Metric(
    "lockstep_monitor_recall_queries_total",
    MetricKind.COUNTER,
    "Live queries whose index recall was measured, by index and k.",
    ("index", "k"),
)
MONITOR_RECALL_HITS = Metric(
    "lockstep_monitor_recall_hits_total",
    MetricKind.COUNTER,
    "Neighbours of them that the index returned and exact search too, by index and k.",
    ("index", "k"),
)
MONITOR_RECALL_EXPECTED = Metric(
    "lockstep_monitor_recall_expected_total",
    MetricKind.COUNTER,
    "Neighbours of them that exact search returned, by index and k.",
    ("index", "k"),
)
# Reasons: Pairing (another build answers), Overloaded, Unavailable, Malformed.
MONITOR_RECALL_REFUSED = Metric(
    "lockstep_monitor_recall_refused_total",
    MetricKind.COUNTER,
    "Queries that an index did not answer so that recall could be measured, by index and reason.",
    ("index", "reason"),
)
# Reasons: Budget (exact searches had their share of time), BackingOff, Repeated, Invalid.
MONITOR_RECALL_DROPPED = Metric(
    "lockstep_monitor_recall_dropped_total",
    MetricKind.COUNTER,
    "Queries that were due and not asked, by reason.",
    ("reason",),
)
MONITOR_INFO = Metric(
    "lockstep_monitor_info",
    MetricKind.GAUGE,
    "Always 1: what is watched.",
    ("model", "release", "space", "features"),
)
MONITOR = (
    MONITOR_REFUSED,
    MONITOR_EMBEDDINGS,
    MONITOR_DUPLICATES,
    MONITOR_INVALID,
    MONITOR_UPDATE_SECONDS,
    MONITOR_WINDOW_EMBEDDINGS,
    MONITOR_OPEN_WINDOW,
    MONITOR_BETS,
    MONITOR_RECALL_QUERIES,
    MONITOR_RECALL_HITS,
    MONITOR_RECALL_EXPECTED,
    MONITOR_RECALL_REFUSED,
    MONITOR_RECALL_DROPPED,
    MONITOR_INFO,
)


def _of_job(name: str, text: str, *labels: str) -> Metric:
    return Metric(name, MetricKind.GAUGE, text, ("program", "release", *labels))


JOB_PHASE = _of_job("lockstep_job_phase", "1 for the phase that the Job is in, else 0.", "phase")
JOB_DONE = _of_job(
    "lockstep_job_done_units", "Units (steps, rows or queries) of the phase that are done."
)
JOB_TOTAL = _of_job("lockstep_job_total_units", "Units of the phase; 0 when unknown.")
JOB_RATE = _of_job("lockstep_job_units_per_second", "Units per second since the phase began.")
JOB_ETA = _of_job(
    "lockstep_job_eta_seconds", "Seconds until the phase ends, at that rate; NaN when unknown."
)
JOB_VALUE = _of_job(
    "lockstep_job_value", "The latest value of a measure of the work, such as loss.", "name"
)
JOB_WARNINGS = _of_job("lockstep_job_warnings", "Warnings so far.")
JOB = (JOB_PHASE, JOB_DONE, JOB_TOTAL, JOB_RATE, JOB_ETA, JOB_VALUE, JOB_WARNINGS)
