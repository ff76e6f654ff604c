"""Which process this is among how many: read from the environment. Needs no torch.

Three ways to be started are understood, in this order:

- as one worker: `RANK`, `WORLD_SIZE`, `MASTER_ADDR` and `MASTER_PORT`, which torchrun, a PyTorchJob
  and the supervisor of this program set;
- as one node of a TrainJob: `PET_NNODES`, `PET_NODE_RANK`, `PET_NPROC_PER_NODE`, `PET_MASTER_ADDR`
  and `PET_MASTER_PORT`, torchrun's own arguments as variables;
- by the config's `distributed`: then an Indexed Job gives `JOB_COMPLETION_INDEX`, and `MASTER_ADDR`
  names pod 0.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass

from lockstep_core.jobs import JobFailure
from lockstep_core.protocol.environment import RENDEZVOUS_PORT
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.training import DistributedSpec

LOOPBACK = "127.0.0.1"
MOST_PROCESSES = 65_536
_WORDS = frozenset({"auto", "cpu", "gpu"})
"""Numbers that torchrun would count itself; here the config says how many."""


@dataclass(frozen=True)
class Rank:
    """One process: `rank` of `size` in all, `local_rank` of `local_size` on its machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def leads(self) -> bool:
        return self.rank == 0


@dataclass(frozen=True)
class WorkerGroup:
    """The processes of one machine, which is `node` of `nodes`; all connect to `address`:`port`."""

    processes: int
    nodes: int = 1
    node: int = 0
    address: str = LOOPBACK
    port: int = RENDEZVOUS_PORT

    @property
    def size(self) -> int:
        return self.processes * self.nodes

    def ranks(self) -> range:
        first = self.node * self.processes
        return range(first, first + self.processes)

    def environment(self, rank: int) -> dict[str, str]:
        """The variables of a worker; `rank_of` reads them."""
        return {
            "RANK": str(rank),
            "WORLD_SIZE": str(self.size),
            "LOCAL_RANK": str(rank - self.ranks().start),
            "LOCAL_WORLD_SIZE": str(self.processes),
            "MASTER_ADDR": self.address,
            "MASTER_PORT": str(self.port),
        }


def rank_of(environment: Mapping[str, str]) -> Rank | None:
    """The rank of this worker; None where the environment names no worker.

    Raises JobFailure (exit 2) for numbers that are none, or that do not fit each other.
    """
    if not {"RANK", "WORLD_SIZE"} <= environment.keys():
        return None
    size = _number(environment, "WORLD_SIZE", low=1, high=MOST_PROCESSES)
    local_size = _number(environment, "LOCAL_WORLD_SIZE", low=1, high=size, default=1)
    return Rank(
        rank=_number(environment, "RANK", low=0, high=size - 1),
        size=size,
        local_rank=_number(environment, "LOCAL_RANK", low=0, high=local_size - 1, default=0),
        local_size=local_size,
    )


def worker_group_of(spec: DistributedSpec, environment: Mapping[str, str]) -> WorkerGroup | None:
    """The workers that this process has to start; None where it trains alone.

    Raises JobFailure (exit 2) as `rank_of`, and where nothing says which of several pods this is.
    """
    if "PET_NNODES" in environment or "PET_NPROC_PER_NODE" in environment:
        workers = _of_train_job(spec, environment)
    elif spec.pods > 1:
        workers = WorkerGroup(
            processes=spec.processes_per_pod,
            nodes=spec.pods,
            node=_number(environment, "JOB_COMPLETION_INDEX", low=0, high=spec.pods - 1),
            address=_text(environment, "MASTER_ADDR"),
            port=_number(environment, "MASTER_PORT", low=1, high=65_535, default=RENDEZVOUS_PORT),
        )
    else:
        workers = WorkerGroup(processes=spec.processes_per_pod)
    if workers.size == 1:
        return None
    if workers.nodes == 1 and workers.address == LOOPBACK:
        # Two trainings on one machine must not share a port.
        return WorkerGroup(workers.processes, port=free_port())
    return workers


def _of_train_job(spec: DistributedSpec, environment: Mapping[str, str]) -> WorkerGroup:
    nodes = environment.get("PET_NNODES", "1")
    low, _, high = nodes.partition(":")
    if high and high != low:
        raise _wrong("PET_NNODES", nodes, "an elastic number of nodes is not supported; set one")
    count = _number({"PET_NNODES": low}, "PET_NNODES", low=1, high=MOST_PROCESSES)
    processes = spec.processes_per_pod
    if environment.get("PET_NPROC_PER_NODE", "auto") not in _WORDS:
        processes = _number(environment, "PET_NPROC_PER_NODE", low=1, high=1024)
    if count == 1:
        return WorkerGroup(processes)
    return WorkerGroup(
        processes=processes,
        nodes=count,
        node=_number(environment, "PET_NODE_RANK", low=0, high=count - 1),
        address=_text(environment, "PET_MASTER_ADDR"),
        port=_number(environment, "PET_MASTER_PORT", low=1, high=65_535, default=RENDEZVOUS_PORT),
    )


def _number(
    environment: Mapping[str, str], name: str, *, low: int, high: int, default: int | None = None
) -> int:
    text = environment.get(name, "" if default is None else str(default))
    if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
        raise _wrong(name, text, f"a whole number from {low} to {high} is needed")
    return int(text)


def _text(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise _wrong(name, value, "the host name of pod 0 is needed")
    return value


def _wrong(name: str, value: str, needed: str) -> JobFailure:
    problem = f"the environment variable {name} is {value!r}" if value else f"{name} is not set"
    fix = (
        "Set it (an Indexed Job, a TrainJob and torchrun do), or set distributed.pods to 1 and"
        " unset PET_NNODES"
    )
    message = f"several processes train this encoder, but {problem}: {needed}. {fix}"
    return JobFailure(ExitCode.BAD_CONFIG, "BadEnvironment", message)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
