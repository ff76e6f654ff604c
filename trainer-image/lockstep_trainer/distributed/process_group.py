"""How the processes of one training communicate: embeddings, gradients, orders of process 0."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from enum import IntEnum
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.rendezvous import rendezvous

from lockstep_trainer.distributed.ranks import Rank

CONNECT_TIMEOUT = timedelta(minutes=30)
"""For all to connect: a cluster may schedule the last pod long after the first one."""

WAIT_TIMEOUT = timedelta(days=7)
"""How long the others wait for an order: process 0 measures, exports and publishes meanwhile. A
connection that closes ends the wait at once."""

BUCKET_BYTES = 64 * 2**20


class MemberLost(Exception):
    """Another process is gone, or does not answer."""


class Order(IntEnum):
    """What all do next, announced by process 0. All are above 0, which the others send."""

    STEP = 1
    ADOPT = 2
    DONE = 3


class ProcessGroup:
    """The processes that train together; this one is `rank` of `size`.

    A group of one, which is what the constructor makes, communicates with nobody.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size
        self._control: Any = None

    @classmethod
    def connect(cls, rank: Rank, device: torch.device, *, address: str, port: int) -> ProcessGroup:
        """Waits for all processes; raises MemberLost when not all connect."""
        if rank.size == 1:
            return cls()
        with _lost("not all processes came together"):
            if not rank.leads:
                _await_name(address, port, time.monotonic() + CONNECT_TIMEOUT.total_seconds())
            store, _, _ = next(iter(rendezvous("env://", timeout=CONNECT_TIMEOUT)))
            store.set_timeout(CONNECT_TIMEOUT)
            dist.init_process_group(
                dist.get_default_backend_for_device(device),
                store=store,
                rank=rank.rank,
                world_size=rank.size,
                timeout=timedelta(minutes=10),
            )
            group = cls(rank.rank, rank.size)
            # Orders bypass the accelerator: nobody waits for its queue to learn what is next.
            group._control = dist.new_group(backend="gloo", timeout=WAIT_TIMEOUT)
        return group

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def close(self) -> None:
        """Closes the connections."""
        if self._control is not None:
            self._control = None
            dist.destroy_process_group()

    # -- one step

    def part(self, rows: int, rank: int | None = None) -> slice:
        """The rows of a batch of `rows` that a process (None: this one) embeds."""
        at = self.rank if rank is None else rank
        return slice(at * rows // self.size, (at + 1) * rows // self.size)

    def gather(self, own: Tensor, rows: int) -> Tensor:
        """The embeddings of the whole batch, [rows, D], on every process.

        Own rows keep their graph, so that the gradient of a loss over all of them flows to this
        process' rows alone; `sum_gradients` adds what flows on the others.
        """
        if self.size == 1:
            return own
        parts = [self.part(rows, rank) for rank in range(self.size)]
        counts = [part.stop - part.start for part in parts]
        # Collectives want equal shapes: a slice may be one row shorter than another.
        padded = own.new_zeros(max(counts), *own.shape[1:])
        padded[: len(own)] = own.detach()
        gathered = [torch.empty_like(padded) for _ in counts]
        with _lost("the embeddings of a batch did not come"):
            dist.all_gather(gathered, padded)
        shares = [share[:count] for share, count in zip(gathered, counts, strict=True)]
        shares[self.rank] = own
        return torch.cat(shares)

    def sum_gradients(self, network: nn.Module, objective: nn.Module) -> None:
        """Gives every process the gradient of the whole batch, the same bits on each.

        The network's is the sum of what flowed through each slice. The objective saw the whole
        batch everywhere, so its gradient is that of process 0.
        """
        if self.size == 1:
            return
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        for parameter in objective.parameters():
            if parameter.grad is not None:
                if not self.leads:
                    parameter.grad.zero_()
                gradients.append(parameter.grad)
        with _lost("the gradients of a batch did not come"):
            for bucket in _buckets(gradients):
                flat = torch.cat([gradient.flatten() for gradient in bucket])
                dist.all_reduce(flat)
                for gradient, part in zip(
                    bucket, torch.split(flat, [one.numel() for one in bucket]), strict=True
                ):
                    gradient.copy_(part.view_as(gradient))

    # -- orders of process 0

    def announce(self, order: Order) -> bool:
        """Process 0: sends all the next order; returns whether one of them was asked to stop."""
        return bool(self._exchange(int(order), 0)[1])

    def receive(self, stopping: bool) -> Order:
        """The others: the next order. `stopping` tells process 0 that a signal came."""
        return Order(self._exchange(0, int(stopping))[0])

    def _exchange(self, order: int, stopping: int) -> list[int]:
        word = torch.tensor([order, stopping])
        with _lost("a process of the training is gone"):
            dist.all_reduce(word, dist.ReduceOp.MAX, group=self._control)
        return [int(value) for value in word]

    def broadcast(self, payload: bytes | None) -> bytes:
        """What process 0 gives (the others None), on every process."""
        size = torch.tensor([len(payload or b"")])
        with _lost("what process 0 sent did not come"):
            dist.broadcast(size, 0, group=self._control)
            if payload is None:
                data = torch.empty(int(size), dtype=torch.uint8)
            else:
                data = torch.frombuffer(bytearray(payload), dtype=torch.uint8)
            dist.broadcast(data, 0, group=self._control)
        return payload if payload is not None else data.numpy().tobytes()


ALONE = ProcessGroup()


def _buckets(gradients: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """One kind of number each, and about `BUCKET_BYTES`."""
    open_ones: dict[torch.dtype, list[Tensor]] = {}
    for gradient in gradients:
        bucket = open_ones.setdefault(gradient.dtype, [])
        bucket.append(gradient)
        if sum(one.nbytes for one in bucket) >= BUCKET_BYTES:
            yield open_ones.pop(gradient.dtype)
    yield from open_ones.values()


def _await_name(
    address: str,
    port: int,
    deadline: float,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Pod 0 has a DNS name only once it runs."""
    while True:
        try:
            socket.getaddrinfo(address, port)
            return
        except socket.gaierror as error:
            if clock() > deadline:
                raise RuntimeError(f"{address} has no address: {error}") from error
            sleep(1.0)


@contextmanager
def _lost(what: str) -> Iterator[None]:
    """Names what failed: torch's own errors of a connection are many, and all RuntimeErrors."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        cause = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise MemberLost(f"{what} ({cause[:200]})") from error
