"""Two processes that share each batch train as one process does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from lockstep_core.protocol.training import TrainingSpec
from lockstep_trainer.distributed.process_group import MemberLost, Order, ProcessGroup
from lockstep_trainer.distributed.ranks import Rank, WorkerGroup, free_port
from lockstep_trainer.networks import build_network
from lockstep_trainer.objectives import build_objective
from lockstep_trainer.training import assist
from lockstep_trainer.training.gradient_cache import CannotChunk, backward
from lockstep_trainer.training.machine import Machine

pytestmark = [pytest.mark.unit, pytest.mark.programs]

CPU = torch.device("cpu")
STEPS = 4
SPECS: dict[str, dict[str, Any]] = {
    "semi-hard with a memory and auxiliary terms": {
        "mining": {"memory": {"size": 40}},
        "loss": {"auxiliary": {"crossEntropy": "0.5", "center": "0.1", "spreadOut": "0.1"}},
    },
    "all semi-hard, in chunks, cut dimensions": {
        "encoder": {"kind": "MLP", "dimension": 8, "width": 16, "matryoshkaDimensions": [4]},
        "mining": {"strategy": "AllSemiHard"},
        "batch": {"classes": 5, "perClass": 3, "chunkSize": 4},
    },
    "distance-weighted, by chance": {"mining": {"strategy": "DistanceWeighted"}},
    "Contrastive": {"loss": {"name": "Contrastive"}},
    "InfoNCE": {"loss": {"name": "InfoNCE"}},
    "SupCon": {"loss": {"name": "SupCon"}},
    "ProxyAnchor": {"loss": {"name": "ProxyAnchor"}},
    "ArcFace": {"loss": {"name": "ArcFace"}},
}


def spec(**changes: object) -> TrainingSpec:
    return TrainingSpec.model_validate(
        {
            "data": {"uri": "file:///set.npz", "format": "NPZ"},
            "encoder": {"kind": "MLP", "dimension": 8, "width": 16},
            # 15 items for two processes: one has a row more than the other.
            "batch": {"classes": 5, "perClass": 3},
            "budget": {"maxSteps": 40},
            "optimizer": {"learningRate": "0.003"},
            **changes,
        }
    )


def data() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    labels = np.repeat(np.array([f"class {number}" for number in range(12)]), 4)
    centres = generator.normal(size=(12, 10)).repeat(4, axis=0)
    return (centres + generator.normal(size=(48, 10))).astype(np.float32), labels


def machine(wanted: TrainingSpec, group: ProcessGroup) -> Machine:
    inputs, labels = data()
    network = build_network(wanted.encoder, inputs.shape[1:], seed=0)
    return Machine(network, network.preprocessing.prepare(inputs), labels, wanted, CPU, group)


def numbers(wanted: TrainingSpec, group: ProcessGroup) -> Iterator[dict[str, torch.Tensor]]:
    """Losses, gradients and weights of a few steps, of a rewind, and of steps after it."""
    found = machine(wanted, group)
    start = found.weights()
    for step in range(STEPS):
        if step == STEPS // 2:
            found.begin(wanted, step=step, rewinds=1)
            found.load_network(start)
        done = found.step()
        learnt = {
            f"{part}/{name}": parameter.grad.clone()
            for part, module in (("network", found.network), ("objective", found.objective))
            for name, parameter in module.named_parameters()
            if parameter.grad is not None
        }
        yield {
            "loss": done.outcome.loss.detach(),
            "active": done.outcome.active,
            "embeddings": done.embeddings,
            **{f"gradient of {name}": value for name, value in learnt.items()},
            **{f"weight {name}": value for name, value in found.weights().items()},
        }


def connect(rank: int, port: int) -> ProcessGroup:
    workers = WorkerGroup(processes=2, port=port)
    os.environ.update(workers.environment(rank))
    return ProcessGroup.connect(Rank(rank, 2, rank, 2), CPU, address=workers.address, port=port)


def worker(port: int) -> None:
    """The second process: all trainings in a row; at the last one it is asked to stop."""
    torch.set_num_threads(1)
    group = connect(1, port)
    inputs, labels = data()
    for name, changes in SPECS.items():
        wanted = spec(**changes)
        # Other weights at first: those of process 0 are taken over.
        network = build_network(wanted.encoder, inputs.shape[1:], seed=1)
        items = network.preprocessing.prepare(inputs)
        assist(
            network,
            items,
            labels,
            wanted,
            device=CPU,
            group=group,
            stop=partial(str.__eq__, name, "ArcFace"),
        )
    group.close()


@pytest.fixture
def port() -> int:
    return free_port()


def test_two_processes_train_as_one(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    for name in WorkerGroup(processes=2).environment(0):
        monkeypatch.setenv(name, "")
    other = subprocess.Popen([sys.executable, __file__, str(port)])
    try:
        group = connect(0, port)
        for name, changes in SPECS.items():
            wanted = spec(**changes)
            alone = numbers(wanted, ProcessGroup())
            for step, (one, two) in enumerate(zip(alone, numbers(wanted, group), strict=True)):
                assert one.keys() == two.keys()
                for key, value in one.items():
                    told = f"{name}, step {step}: {key}"
                    assert torch.allclose(two[key], value, rtol=1e-6, atol=1e-6), told
            found = machine(wanted, group)
            found.step()
            assert found.asked_to_stop is (name == "ArcFace")
            group.announce(Order.DONE)
        assert other.wait(timeout=60) == 0
        with pytest.raises(MemberLost, match="gone"):
            group.announce(Order.STEP)
        group.close()
    finally:
        other.kill()
        other.wait()
        torch.set_num_threads(before)


def test_a_network_that_looks_at_the_batch_is_not_shared() -> None:
    wanted = spec()
    network = torch.nn.Sequential(torch.nn.Linear(10, 8), torch.nn.BatchNorm1d(8))
    objective = build_objective(wanted, classes=4, seed=0)
    with pytest.raises(CannotChunk, match=r"distributed is set, but layer 1 is a BatchNorm1d"):
        backward(
            network,
            objective,
            torch.zeros(4, 10),
            torch.zeros(8, dtype=torch.int64),
            torch.arange(8),
            chunk=None,
            group=ProcessGroup(0, 2),
        )


if __name__ == "__main__":
    worker(int(sys.argv[1]))
