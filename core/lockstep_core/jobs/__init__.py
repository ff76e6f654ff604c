"""What every Job does alike: config in, work with progress, a typed result out."""

from lockstep_core.jobs.failure import JobFailure, as_failure
from lockstep_core.jobs.outcome import Facts, emit, failed
from lockstep_core.jobs.reporter import Reporter
from lockstep_core.jobs.running import earlier_result, load_config, parse_config, run_job
from lockstep_core.jobs.stopping import Stopping, preempted
from lockstep_core.protocol.logs import log_to_stderr

__all__ = [
    "Facts",
    "JobFailure",
    "Reporter",
    "Stopping",
    "as_failure",
    "earlier_result",
    "emit",
    "failed",
    "load_config",
    "log_to_stderr",
    "parse_config",
    "preempted",
    "run_job",
]
