"""Arithmetic and schedules: what they are, that they resume, and what happens where they cannot."""

from __future__ import annotations

import os

import pytest
import torch
from torch import nn

from lockstep_core.protocol.training import OptimizerSpec, PrecisionSpec, TrainingSpec
from lockstep_trainer.networks import build_network
from lockstep_trainer.training import Hooks, train
from lockstep_trainer.training.optimisers import build_optimiser, pack, unpack
from lockstep_trainer.training.precision import Autocasting, prepare, reproducible

pytestmark = pytest.mark.unit

CPU = torch.device("cpu")


def spec(**changes: object) -> TrainingSpec:
    return TrainingSpec.model_validate(
        {
            "data": {"uri": "file:///set.npz", "format": "NPZ"},
            "encoder": {"kind": "MLP", "dimension": 8, "width": 16},
            "batch": {"classes": 6, "perClass": 3},
            "budget": {"maxSteps": 20},
            **changes,
        }
    )


def rates(wanted: dict[str, object], steps: int) -> list[float]:
    optimiser, schedule = build_optimiser(
        [nn.Parameter(torch.ones(1))], OptimizerSpec.model_validate(wanted), steps
    )
    found = []
    for _ in range(steps):
        found.append(float(optimiser.param_groups[0]["lr"]))
        optimiser.step()
        schedule.step()
    return found


def test_schedules_rise_to_their_peak_and_fall_as_they_say() -> None:
    peak = 0.004
    constant = rates({"schedule": "Constant", "warmupSteps": 4}, 10)
    assert constant == pytest.approx([0.0008, 0.0016, 0.0024, 0.0032] + [peak] * 6)
    assert rates({"schedule": "Constant"}, 5) == [peak] * 5
    cosine = rates({"schedule": "Cosine"}, 100)
    assert cosine[0] == peak and cosine == sorted(cosine, reverse=True)
    assert cosine[50] == pytest.approx(peak / 2)
    assert 0 < cosine[-1] < peak / 1000
    cycle = rates({}, 100)
    assert max(cycle) == pytest.approx(peak, rel=1e-2) and 25 <= cycle.index(max(cycle)) <= 31
    short = rates({"warmupSteps": 7}, 100)
    assert short.index(max(short)) == 7 and max(short) == pytest.approx(peak)
    assert short[-1] < peak / 1000


@pytest.mark.parametrize("steps", [1, 2, 3, 12])
@pytest.mark.parametrize("schedule", ["OneCycle", "Cosine", "Constant"])
def test_what_is_left_after_a_rewind_may_be_shorter_than_the_warmup(schedule, steps) -> None:
    found = rates({"schedule": schedule, "warmupSteps": 10}, steps)
    assert all(0 < rate <= 0.004 + 1e-12 for rate in found)


@pytest.mark.parametrize("schedule", ["OneCycle", "Cosine", "Constant"])
def test_optimiser_and_schedule_come_back_from_tensors_and_json(schedule) -> None:
    wanted = OptimizerSpec.model_validate({"schedule": schedule, "warmupSteps": 3})

    def make() -> tuple[nn.Parameter, torch.optim.Optimizer, object]:
        parameter = nn.Parameter(torch.arange(3.0))
        return parameter, *build_optimiser([parameter], wanted, 10)

    def step(parameter, optimiser, schedule) -> None:
        parameter.grad = parameter.detach() + 1
        optimiser.step()
        schedule.step()

    whole, again = make(), make()
    for _ in range(4):
        step(*whole)
    tensors, rest = pack(whole[1], whole[2])
    again[0].data.copy_(whole[0].data)
    unpack(again[1], again[2], {key: value.clone() for key, value in tensors.items()}, rest)
    for _ in range(4):
        step(*whole)
        step(*again)
    assert torch.equal(whole[0], again[0])
    assert whole[1].param_groups[0]["lr"] == again[1].param_groups[0]["lr"]


def test_bfloat16_layers_give_float32_of_unit_norm(glyphs) -> None:
    wanted = spec(precision={"autocast": "BF16"})
    network = build_network(wanted.encoder, (16, 16), seed=0)
    inputs = torch.from_numpy(glyphs[0][:32])
    whole, narrow = network(inputs), Autocasting(network, CPU)(inputs)
    assert narrow.dtype == torch.float32
    assert torch.allclose(narrow.norm(dim=1), torch.ones(32), atol=1e-6)
    assert not torch.equal(whole, narrow) and torch.allclose(whole, narrow, atol=0.05)
    training = train(network, *glyphs, wanted, device=CPU)
    assert training.final_loss < training.curve[0].loss + 0.05
    assert all(value.dtype == torch.float32 for value in network.parameters())


def test_a_compiler_that_fails_is_told_and_the_network_is_trained_as_it_is(glyphs, monkeypatch):
    def broken(network: nn.Module) -> nn.Module:
        raise RuntimeError("InvalidCxxCompiler: no working C++ compiler\nmore")

    monkeypatch.setattr(torch, "compile", lambda network: _Failing(broken))
    told: list[str] = []
    plain, compiled = spec(), spec(precision={"compile": True})
    networks = [build_network(plain.encoder, (16, 16), seed=0) for _ in range(2)]
    train(networks[0], *glyphs, plain, device=CPU)
    train(networks[1], *glyphs, compiled, device=CPU, hooks=Hooks(warn=told.append))
    assert len(told) == 1
    assert "torch.compile failed (RuntimeError: InvalidCxxCompiler: no working C++" in told[0]
    assert "Set precision.compile to false" in told[0]
    other = networks[1].state_dict()
    assert all(torch.equal(v, other[k]) for k, v in networks[0].state_dict().items())


class _Failing(nn.Module):
    """As what torch.compile returns: it fails when it is first called."""

    def __init__(self, fail) -> None:
        super().__init__()
        self._fail = fail

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self._fail(inputs)


def test_a_compiled_network_is_called_in_place_of_its_own(glyphs, monkeypatch) -> None:
    calls: list[int] = []

    class Compiled(nn.Module):
        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self.network = network

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            calls.append(len(inputs))
            return self.network(inputs)

    monkeypatch.setattr(torch, "compile", Compiled)
    wanted = spec(precision={"compile": True, "autocast": "BF16"})
    network = build_network(wanted.encoder, (16, 16), seed=0)
    train(network, *glyphs, wanted, device=CPU)
    assert len(calls) == 21  # the trial and twenty steps
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_reproducible_kernels_are_asked_for_and_given_back() -> None:
    assert not torch.are_deterministic_algorithms_enabled()
    with reproducible(True):
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"]
    assert not torch.are_deterministic_algorithms_enabled()
    with reproducible(False):
        assert not torch.are_deterministic_algorithms_enabled()


def test_nothing_is_wrapped_unless_it_is_asked_for() -> None:
    network = build_network(spec().encoder, (16, 16), seed=0)

    def never() -> torch.Tensor:
        raise AssertionError

    assert prepare(network, PrecisionSpec(), never, device=CPU, warn=print) is network
