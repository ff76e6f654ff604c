"""All that changes from step to step: network, objective, optimiser, schedule, batches."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from lockstep_core.datasets.dataset import Strings
from lockstep_core.encoding.ragged import Prepared
from lockstep_core.protocol.training import MiningStrategy, TrainingSpec
from lockstep_trainer.distributed.process_group import ALONE, Order, ProcessGroup
from lockstep_trainer.networks import Network
from lockstep_trainer.objectives import Objective, Outcome, build_objective
from lockstep_trainer.offline import Guide, due_every, embed_all, mine
from lockstep_trainer.training.checkpoints import HEADER, below, distinct
from lockstep_trainer.training.gradient_cache import backward
from lockstep_trainer.training.optimisers import build_optimiser, pack, unpack
from lockstep_trainer.training.sampling import PKSampler, Rows

REWIND_SCALE = 0.3
"""Of the learning rate, each time that a collapse is rewound."""

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Step:
    """What one step gave: `norm` is the gradient's before clipping, `embeddings` [B, D]."""

    outcome: Outcome
    embeddings: Tensor
    norm: Tensor
    rate: float


class Machine:
    """The state of one run on `device`, which a checkpoint holds whole.

    Of several processes, each has one. That of process 0 is led by the training loop, and tells
    the others (`follow`) each step, and all of itself when more than a step has changed it.
    """

    def __init__(
        self,
        network: Network,
        inputs: Prepared,
        labels: Strings,
        spec: TrainingSpec,
        device: torch.device,
        group: ProcessGroup = ALONE,
    ) -> None:
        batch = spec.batch
        self._group, self.asked_to_stop = group, False
        self.sampler = PKSampler(
            labels, classes=batch.classes, per_class=batch.per_class, seed=spec.seed
        )
        names, inverse = np.unique(labels, return_inverse=True)
        self._inputs, self._classes, self._device = inputs, len(names), device
        self._codes = torch.from_numpy(inverse.astype(np.int64))
        offline = spec.mining.offline
        self._mine_every = due_every(offline, batch, len(labels)) if offline else None
        self.network = network
        network.to(device).train()
        self.trunk: nn.Module = network
        self._asked = spec
        self.begin(spec, step=0, rewinds=0)

    def begin(self, spec: TrainingSpec, *, step: int, rewinds: int) -> None:
        """A fresh objective, optimiser and schedule for the steps after `step`.

        After a rewind they are gentler: semi-hard negatives, `REWIND_SCALE` of the learning rate.
        """
        self._from, self._moved = (step, rewinds), True
        mining = spec.mining
        if rewinds:
            mining = mining.replace(strategy=MiningStrategy.SEMI_HARD)
        self.spec = spec.replace(mining=mining)
        objective = build_objective(self.spec, classes=self._classes, seed=spec.seed)
        self.objective: Objective = objective.to(self._device).train()
        self._together = nn.ModuleList([self.network, self.objective])
        self.optimiser, self.schedule = build_optimiser(
            self._together.parameters(),
            spec.optimizer,
            spec.budget.max_steps - step,
            scale=REWIND_SCALE**rewinds,
        )
        self.sampler.step, self.sampler.guide = step, None

    def mine(self, step: int) -> Guide | None:
        """Mines all training items where that is due after `step`, for the batches to come."""
        offline = self.spec.mining.offline
        if offline is None or self._mine_every is None or step % self._mine_every:
            return None
        embedded = embed_all(self.network, self._inputs, device=self._device)
        guide = mine(embedded, self._codes, offline, network=self.network, step=step)
        self.sampler.guide = guide
        self._moved = True
        return guide

    def sample(self) -> Tensor:
        """This process' inputs of the next batch, which is not drawn."""
        at = self.sampler.step
        rows = next(self.sampler)
        self.sampler.step = at
        return self._batch(rows)

    def step(self) -> Step:
        """One batch forward and backward, and one step of optimiser and schedule.

        Afterwards `asked_to_stop` says whether a signal came to another process. Raises MemberLost.
        """
        rows = next(self.sampler)
        if self._group.size > 1:
            self._lead(rows)
        return self._step(rows)

    def follow(self, stopping: Callable[[], bool]) -> None:
        """Does what process 0 does until that is done; `stopping`: a signal came to this process.

        Raises MemberLost when another process is gone, also when process 0 gave the training up.
        """
        while (order := self._group.receive(stopping())) is not Order.DONE:
            if order is Order.ADOPT:
                self._adopt(self._group.broadcast(None))
            else:
                rows = np.frombuffer(self._group.broadcast(None), np.int64).copy()
                # What is drawn by chance differs between the slices; process 0 keeps its own
                # stream, which checkpoints hold.
                torch.manual_seed(_stream(self.spec.seed, self.sampler.step, self._group.rank))
                self.sampler.step += 1
                self._step(rows)

    def _lead(self, rows: Rows) -> None:
        """Process 0 announces the items of a batch: what it draws from may change on the way."""
        if self._moved:
            self.asked_to_stop |= self._group.announce(Order.ADOPT)
            self._group.broadcast(self._packed())
            self._moved = False
        self.asked_to_stop |= self._group.announce(Order.STEP)
        self._group.broadcast(rows.tobytes())

    def _step(self, rows: Rows) -> Step:
        items = torch.from_numpy(rows)
        self.optimiser.zero_grad(set_to_none=True)
        outcome, embeddings = backward(
            self.trunk,
            self.objective,
            self._batch(rows),
            self._codes[items].to(self._device),
            items.to(self._device),
            chunk=self.spec.batch.chunk_size,
            group=self._group,
        )
        clip = float(self.spec.optimizer.clip_norm)
        norm = nn.utils.clip_grad_norm_(self._together.parameters(), clip)
        rate = float(self.optimiser.param_groups[0]["lr"])
        self.optimiser.step()
        self.schedule.step()
        return Step(outcome, embeddings, norm, rate)

    def _batch(self, rows: Rows) -> Tensor:
        own = rows[self._group.part(len(rows))]
        return torch.from_numpy(self._inputs[own]).to(self._device)

    def weights(self) -> Tensors:
        """Copies on the CPU of all that is learnt: `network/...` and `objective/...`."""
        return {name: value.detach().cpu().clone() for name, value in self._learnt().items()}

    def load_weights(self, tensors: Tensors) -> None:
        self._moved = True
        self.network.load_state_dict(below(tensors, "network"))
        self.objective.load_state_dict(below(tensors, "objective"))

    def load_network(self, tensors: Tensors) -> None:
        """As `load_weights`, but the objective stays."""
        self._moved = True
        self.network.load_state_dict(below(tensors, "network"))

    def pack(self) -> tuple[Tensors, dict[str, Any]]:
        """Everything, as tensors and JSON; the cursor of the batches is the step's number."""
        moments, rest = pack(self.optimiser, self.schedule)
        tensors = self._learnt() | {f"optimiser/{key}": value for key, value in moments.items()}
        tensors["rng/cpu"] = torch.get_rng_state()
        if self._device.type == "cuda":
            tensors["rng/cuda"] = torch.cuda.get_rng_state(self._device)
        if self.sampler.guide is not None:
            mined, rest["offline"] = self.sampler.guide.pack()
            tensors |= mined
        return tensors, rest

    def unpack(self, tensors: Tensors, rest: dict[str, Any], *, step: int) -> None:
        """Puts back what `pack` gave."""
        self.load_weights(tensors)
        unpack(self.optimiser, self.schedule, below(tensors, "optimiser"), rest)
        torch.set_rng_state(tensors["rng/cpu"])
        if self._device.type == "cuda" and "rng/cuda" in tensors:
            torch.cuda.set_rng_state(tensors["rng/cuda"], self._device)
        self.sampler.step = step
        self.sampler.guide = Guide.unpack(tensors, rest.get("offline"))

    def _packed(self) -> bytes:
        """All of this machine, as `_adopt` takes it; no pickle."""
        tensors, rest = self.pack()
        whole = {"from": self._from, "step": self.sampler.step, "rest": rest}
        return save(distinct(tensors), metadata={HEADER: json.dumps(whole)})

    def _adopt(self, payload: bytes) -> None:
        length = int.from_bytes(payload[:8], "little")
        whole = json.loads(json.loads(payload[8 : 8 + length])["__metadata__"][HEADER])
        step, rewinds = whole["from"]
        if (step, rewinds) != self._from:
            self.begin(self._asked, step=step, rewinds=rewinds)
        self.unpack(load(payload), whole["rest"], step=int(whole["step"]))
        self.network.train()

    def _learnt(self) -> Tensors:
        parts: dict[str, nn.Module] = {"network": self.network, "objective": self.objective}
        return {
            f"{part}/{name}": value
            for part, module in parts.items()
            for name, value in module.state_dict().items()
        }


def _stream(seed: int, step: int, rank: int) -> int:
    """A seed of its own for each step and process."""
    return int(np.random.SeedSequence((seed, step, rank)).generate_state(1, np.uint64)[0] >> 1)
