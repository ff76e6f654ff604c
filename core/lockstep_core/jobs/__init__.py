"""What every Job does alike: config in, work with progress, a typed result out."""

from lockstep_core.jobs.failure import JobFailure, as_failure
from lockstep_core.jobs.outcome import Facts
from lockstep_core.jobs.reporter import Reporter
from lockstep_core.jobs.running import load_config, run_job
from lockstep_core.jobs.stopping import Stopping

__all__ = ["Facts", "JobFailure", "Reporter", "Stopping", "as_failure", "load_config", "run_job"]
