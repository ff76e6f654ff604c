"""A training that was lost goes on from its checkpoint, bit for bit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lockstep_core.artifacts import ArtifactStore
from lockstep_core.protocol.config import TrainConfig
from lockstep_core.protocol.storage import ArtifactsSpec
from lockstep_core.protocol.training import TrainingSpec
from lockstep_trainer.evaluation import embed, measure
from lockstep_trainer.networks import Network, build_network
from lockstep_trainer.training import (
    EvalPoint,
    Hooks,
    Identity,
    Keeper,
    Refused,
    Stopped,
    TakenOver,
    Training,
    train,
)
from lockstep_trainer.training.checkpoint_store import Checkpoints
from lockstep_trainer.training.fit import make_keeper
from lockstep_trainer.validation import prepare

pytestmark = [pytest.mark.unit, pytest.mark.programs]

CPU = torch.device("cpu")
DATASET = "sha256:" + "a" * 64


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Equal bits need equally many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def spec(**changes: object) -> TrainingSpec:
    return TrainingSpec.model_validate(
        {
            "data": {"uri": "file:///set.npz", "format": "NPZ"},
            "encoder": {"kind": "MLP", "dimension": 8, "width": 16},
            "batch": {"classes": 6, "perClass": 3},
            "budget": {"maxSteps": 45},
            **changes,
        }
    )


class Place:
    """A store on disk, and what keepers said."""

    def __init__(self, root: Path) -> None:
        root.mkdir(exist_ok=True)
        store = ArtifactStore.open(ArtifactsSpec(uri=f"file://{root}", claim_name="volume"))
        self.checkpoints: Checkpoints = Checkpoints(store.backend, "uid-1")
        self.folder = root / self.checkpoints.folder
        self.warnings: list[str] = []

    def keeper(self, wanted: TrainingSpec, writer: str = "w", dataset: str = DATASET) -> Keeper:
        return Keeper(
            self.checkpoints,
            Identity.of(wanted, dataset),
            writer=writer,
            keep=2,
            warn=self.warnings.append,
        )

    def files(self) -> list[Path]:
        return sorted(self.folder.glob("*.safetensors"))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "volume")


def run(
    wanted: TrainingSpec, glyphs: tuple[np.ndarray, np.ndarray], hooks: Hooks
) -> tuple[Network, Training]:
    network = build_network(wanted.encoder, (16, 16), seed=wanted.seed)
    return network, train(network, *glyphs, wanted, device=CPU, hooks=hooks)


def stop_after(steps: int) -> Callable[[], bool]:
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > steps

    return stop


def evaluator(glyphs: tuple[np.ndarray, np.ndarray]) -> Callable[[Network, int], EvalPoint]:
    def evaluate(network: Network, step: int) -> EvalPoint:
        found = measure(embed(network, glyphs[0][::4], device=CPU), glyphs[1][::4])
        return EvalPoint(step, found.recall_at_1, found.map_at_r, found.variance)

    return evaluate


def equal(one: Network, other: Network) -> bool:
    return all(torch.equal(v, other.state_dict()[k]) for k, v in one.state_dict().items())


EVALUATED = {"evaluation": {"everySteps": 7}}
PATIENT = {
    **EVALUATED,
    "budget": {"maxSteps": 45, "earlyStopping": {"metric": "MAPAtR", "patience": 2}},
}
COSINE = {"optimizer": {"schedule": "Cosine", "warmupSteps": 5}}
ANY_VARIANCE = {"collapse": {"minVariance": "0"}}
REMEMBERING = {"loss": {"name": "InfoNCE"}, "mining": {"memory": {"size": 64}}, **ANY_VARIANCE}
PROXIES = {"loss": {"name": "ProxyAnchor"}, "precision": {"autocast": "BF16"}, **ANY_VARIANCE}
COLLAPSING = {
    "mining": {"strategy": "BatchHard"},
    "collapse": {"minVariance": "0.1"},
    "evaluation": {"everySteps": 3},
}


@pytest.mark.parametrize(
    "changes",
    [{}, EVALUATED, PATIENT, COSINE, REMEMBERING, PROXIES, COLLAPSING],
    ids=["plain", "evaluated", "patient", "cosine", "memory", "proxies", "rewound"],
)
def test_a_run_in_pieces_is_the_run_in_one_piece(glyphs, place, changes, monkeypatch):
    if changes is COLLAPSING:
        monkeypatch.setattr("lockstep_trainer.training.diagnostics.WINDOW_STEPS", 10)
    wanted = spec(**changes)
    plain = Hooks(evaluate=evaluator(glyphs))
    whole, training = run(wanted, glyphs, plain)
    generator = np.random.default_rng(len(changes))
    resumed: list[int] = []
    while True:
        hooks = replace(
            plain,
            keeper=place.keeper(wanted),
            stop=stop_after(int(generator.integers(1, 20))),
            resumed=resumed.append,
        )
        try:
            pieces, last = run(wanted, glyphs, hooks)
        except Stopped as stopped:
            assert stopped.kept is not None
        else:
            break
    assert len(resumed) >= 2
    assert equal(whole, pieces)
    assert last.curve == training.curve
    assert last.eval_points == training.eval_points
    assert (last.steps, last.exported_step) == (training.steps, training.exported_step)
    assert (last.final_loss, last.active_triplets) == (
        training.final_loss,
        training.active_triplets,
    )
    assert last.skipped_anchors == training.skipped_anchors
    assert last.rewinds == training.rewinds == (1 if changes is COLLAPSING else 0)
    assert last.resumed_from_step == resumed[-1]
    if changes is PATIENT:
        assert training.steps < 45


def test_a_checkpoint_is_taken_by_steps_by_seconds_and_on_demand(glyphs, place):
    now = [0.0]

    def clock() -> float:
        now[0] += 0.5  # asked a few times a step
        return now[0]

    for checkpoint, asked in (
        ({"everySteps": 10}, False),
        ({"everySeconds": 20}, False),
        ({}, True),
    ):
        wanted = spec(checkpoint=checkpoint)
        keeper, requests = place.keeper(wanted), [asked]
        run(
            wanted,
            glyphs,
            Hooks(
                keeper=keeper,
                clock=clock if "everySeconds" in checkpoint else (lambda: 0.0),
                save_now=lambda requests=requests: bool(requests.pop() if requests else False),
            ),
        )
        steps = [one.step for one in place.checkpoints.newest_first()]
        if "everySteps" in checkpoint:
            assert steps == [40, 30]  # `keep` of them
        elif asked:
            assert steps == [1]
        else:
            assert len(steps) == 2
        keeper.discard()
        assert not place.folder.exists()
    assert not place.warnings


def test_a_torn_checkpoint_is_skipped_for_the_one_before_it(glyphs, place):
    wanted = spec(checkpoint={"everySteps": 10})
    whole, _ = run(wanted, glyphs, Hooks(keeper=place.keeper(wanted)))
    older, newer = place.files()
    newer.chmod(0o644)
    newer.write_bytes(newer.read_bytes()[:1000])
    resumed: list[int] = []
    again, _ = run(wanted, glyphs, Hooks(keeper=place.keeper(wanted), resumed=resumed.append))
    assert resumed == [30]
    assert "the checkpoint of step 40 is torn and skipped" in place.warnings[0]
    assert equal(whole, again)

    for file in place.files():
        file.unlink()
    older.write_bytes(b"nonsense")
    anew, training = run(wanted, glyphs, Hooks(keeper=place.keeper(wanted)))
    assert training.resumed_from_step is None
    assert equal(whole, anew)


def test_a_checkpoint_of_another_config_is_refused_and_one_of_other_data_is_told(glyphs, place):
    wanted = spec(checkpoint={"everySteps": 20})
    run(wanted, glyphs, Hooks(keeper=place.keeper(wanted)))
    other = spec(optimizer={"learningRate": "0.001"}, checkpoint={"keep": 1})
    with pytest.raises(Refused) as caught:
        run(other, glyphs, Hooks(keeper=place.keeper(other)))
    said = str(caught.value)
    assert "step 40" in said
    assert 'training.optimizer.learningRate was the default, is "0.001"' in said
    assert "checkpoint.keep" not in said and "--start-anew" in said
    assert len(place.files()) == 2

    other_data = place.keeper(wanted, dataset="sha256:" + "b" * 64)
    _, training = run(wanted, glyphs, Hooks(keeper=other_data, stop=lambda: False))
    assert training.resumed_from_step is None
    assert "training begins anew" in place.warnings[-1]


def test_only_the_process_that_began_last_saves(glyphs, place):
    wanted = spec(checkpoint={"everySteps": 5})
    later = place.keeper(wanted, writer="attempt 2 on b")
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        if len(asked) == 8:
            assert later.begin() is not None
        return False

    with pytest.raises(TakenOver, match="attempt 2 on b trains this release now, so attempt 1 on"):
        keeper = place.keeper(wanted, writer="attempt 1 on a")
        run(wanted, glyphs, Hooks(keeper=keeper, stop=stop))
    assert [one.step for one in place.checkpoints.newest_first()] == [5]


def test_a_store_that_takes_nothing_is_told_and_training_goes_on(glyphs, place):
    wanted = spec(checkpoint={"everySteps": 20})
    keeper = place.keeper(wanted)

    def spoil() -> bool:
        # A file where the folder was: nothing can be written below it.
        if place.folder.is_dir():
            for file in place.folder.iterdir():
                file.unlink()
            place.folder.rmdir()
            place.folder.write_text("")
        return False

    _, training = run(wanted, glyphs, Hooks(keeper=keeper, stop=spoil))
    assert training.steps == 45 and training.kept_step is None
    assert "the checkpoint of step 20 was not kept: cannot" in place.warnings[0]


def test_kill_minus_nine_then_resume_gives_the_same_weights(tmp_path, wire, store_root):
    """The real program is killed at whatever step it is at; this process goes on from there."""
    wire["training"] |= {
        "encoder": {"kind": "MLP", "dimension": 8, "width": 16},
        "batch": {"classes": 6, "perClass": 3},
        "budget": {"maxSteps": 400},
        "checkpoint": {"everySteps": 1},
    }
    folder = store_root / "checkpoints" / "uid-1"
    process = subprocess.Popen(
        [sys.executable, "-m", "lockstep_trainer", "run"],
        env={**os.environ, "LOCKSTEP_CONFIG": json.dumps(wire), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while process.poll() is None and len(list(folder.glob("*.safetensors"))) < 2:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (store_root / "manifests").exists()

    config = TrainConfig.model_validate(wire)
    store = ArtifactStore.open(config.artifacts)
    data = prepare(config.training, store, tmp_path, config.artifacts)
    labels, inputs = data.dataset.labels[data.train_rows], data.dataset.inputs[data.train_rows]
    keeper = make_keeper(config, data, store, _Mute())
    glyphs = (inputs, labels)
    again, training = run(config.training, glyphs, Hooks(keeper=keeper))
    assert training.resumed_from_step is not None and training.resumed_from_step > 0
    whole, _ = run(config.training, glyphs, Hooks())
    assert equal(whole, again)


class _Mute:
    def warn(self, text: str) -> None:
        """Nobody listens."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)
