"""The tree as it is printed: over statuses that the operator's own rules wrote."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from lockstep_kubectl.gather import Snapshot
from lockstep_kubectl.tree import ago, tree
from lockstep_kubectl.view import ModelView, split_message, view_of
from tests.unit.decide import worlds
from tests.unit.gitops.situations import SITUATIONS, world_of

pytestmark = pytest.mark.unit

PROGRESS = {
    "program": "Train",
    "release": "glyphs-r2",
    "phase": "Training",
    "done": 220,
    "total": 400,
    "etaSeconds": 12.4,
    "metrics": {"loss": 0.12345},
    "warnings": ["two items have the same id"],
}


def snapshot(world: worlds.World, progress: dict[str, Any] | None = None) -> Snapshot:
    def all_of(kind: str) -> tuple[Any, ...]:
        return tuple(raw for (found, _), raw in sorted(world.objects.items()) if found == kind)

    return Snapshot(
        model=world.objects["EmbeddingModel", worlds.MODEL],
        releases=all_of("EmbeddingRelease"),
        jobs=all_of("Job"),
        pods=all_of("Pod"),
        deployments=all_of("Deployment"),
        progress=progress or {},
    )


def view(name: str) -> ModelView:
    return view_of(snapshot(world_of(name)))


def shown(found: ModelView, world: worlds.World, *, width: int = 100, tty: bool = False) -> str:
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=tty,
        highlight=False,
        markup=False,
        emoji=False,
    )
    console.print(tree(found, world.now), crop=False)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def printed(name: str, *, width: int = 100) -> str:
    return shown(view(name), world_of(name), width=width)


def test_a_model_at_rest() -> None:
    first, second = (world_of("two").record(n)["training"]["spaceID"] for n in (1, 2))
    assert printed("two") == "\n".join(
        [
            "EmbeddingModel shop/glyphs  Healthy",
            "├── r2 serves all requests.",
            f"├── stable    r2  Serving  100% of the requests  space {second}  for 0 s",
            "│   ├── encoder  glyphs-r2-encoder  1/1 ready",
            "│   └── index glyphs  glyphs-r2-glyphs  1/1 ready",
            f"├── kept      r1  Retained  space {first}  for 0 s",
            "│   ├── encoder  glyphs-r1-encoder  1/1 ready",
            "│   └── index glyphs  glyphs-r1-glyphs  1/1 ready",
            "├── gates of r2 1/1",
            "│   └── ✔ relevance: recall@1 0.990 >= 0.950 OK (95% lower 0.987);"
            " gain over raw inputs +0.136 >=",
            "│       0.050 OK (95% lower +0.129); n=4623",
            "└── true: GatesPassed, IndexFresh (UpToDate), Paired (Serving),"
            " Ready (Healthy), Serving",
        ]
    )


def test_a_canary_that_waits_shows_steps_shares_and_commands() -> None:
    lines = printed("at a step").splitlines()
    assert lines[0] == "EmbeddingModel shop/glyphs  Paused  step 2/2 at 50%"
    text = "\n".join(lines)
    assert "stable    r1  Serving  50% of the requests" in text
    assert "candidate r2  Canary  50% of the requests" in text
    assert "steps  ✔ 50%  ▶ pause" in text
    asked = "kubectl annotate em/glyphs -n shop --overwrite lockstep.dev/"
    assert lines[-2:] == [f"Continue: {asked}promote=r2", f"Stop: {asked}abort=r2"]


def test_work_under_way_has_a_bar_and_its_numbers() -> None:
    world = worlds.second("Training")
    pod = world.start_pod("glyphs-r2-train-1")
    world.set_status("Pod", pod, {"phase": "Running"})
    text = shown(view_of(snapshot(world, {pod: PROGRESS})), world)
    (line,) = [line for line in text.splitlines() if "Job glyphs-r2-train-1" in line]
    assert "Running" in line and "━" in line and "Training 220/400" in line
    assert "12 s left" in line and "loss 0.123" in line
    assert "warning: two items have the same id" in text


def test_work_without_a_pod_and_a_pod_that_cannot_start() -> None:
    world = worlds.second("Training")
    assert "Job glyphs-r2-train-1 no pod yet" in shown(view_of(snapshot(world)), world)
    pod = world.start_pod("glyphs-r2-train-1")
    waiting = {"state": {"waiting": {"reason": "ImagePullBackOff"}}}
    world.set_status("Pod", pod, {"containerStatuses": [{"name": "main", **waiting}]})
    assert "Job glyphs-r2-train-1 ImagePullBackOff" in shown(view_of(snapshot(world)), world)
    assert "Job glyphs-r2-train-1 Suspended" in printed("queued")


def test_a_failed_release_says_what_failed_once_and_where() -> None:
    text = printed("gate failed", width=400)
    assert "ended     r2  Failed" in text
    assert "last failure at Evaluating: GateFailed" in text
    assert text.count("recall@1 0.884 < 0.950 FAIL") == 2  # the message, and the gate's own line
    world = worlds.second("Training")
    world.end_job("glyphs-r2-train-1", code=3)
    world.settle()
    told = shown(view_of(snapshot(world)), world, width=400)
    assert "exit code 3, pod glyphs-r2-train-1-" in told


def test_pods_that_are_not_ready_are_named_with_the_reason() -> None:
    world = worlds.two()
    labels = world.objects["Deployment", "glyphs-r2-encoder"]["spec"]["selector"]["matchLabels"]
    for number in range(5):
        metadata = {"name": f"glyphs-r2-encoder-{number}", "labels": dict(labels)}
        metadata["ownerReferences"] = worlds.made_by("glyphs-r2-encoder-5d7f")
        world.create({"kind": "Pod", "metadata": metadata, "spec": {}})
        restarts = [{"name": "main", "restartCount": number}]
        status = {"phase": "Running", "containerStatuses": restarts}
        world.set_status("Pod", metadata["name"], status)
    world.ready("Deployment", "glyphs-r2-encoder", ready=0)
    world.settle()
    text = shown(view_of(snapshot(world)), world, width=300)
    assert "encoder  glyphs-r2-encoder  0/1 ready  glyphs-r2-encoder-0: not ready;" in text
    assert "glyphs-r2-encoder-2: not ready, 2 restarts" in text
    assert "glyphs-r2-encoder-3" not in text


def test_pods_that_crash_are_named_with_exit_code_and_last_line() -> None:
    world = worlds.two()
    labels = world.objects["Deployment", "glyphs-r2-encoder"]["spec"]["selector"]["matchLabels"]
    metadata: dict[str, Any] = {"name": "glyphs-r2-encoder-0", "labels": dict(labels)}
    metadata["ownerReferences"] = worlds.made_by("glyphs-r2-encoder-5d7f")
    world.create({"kind": "Pod", "metadata": metadata, "spec": {}})
    ended = {"exitCode": 1, "reason": "Error", "message": "loading\nOSError: no such file\n"}
    main = {"name": "main", "restartCount": 3, "lastState": {"terminated": ended}}
    side = {"name": "monitor", "state": {"terminated": ended | {"message": "boom"}}}
    status = {"phase": "Running", "containerStatuses": [main]}
    world.set_status("Pod", metadata["name"], status)
    world.ready("Deployment", "glyphs-r2-encoder", ready=0)
    world.settle()
    text = shown(view_of(snapshot(world)), world, width=400)
    assert (
        "encoder  glyphs-r2-encoder  0/1 ready  glyphs-r2-encoder-0: CrashLoopBackOff, exit code 1:"
        " OSError: no such file\n" in text
    )
    assert "Serving=False PodsNotReady" in text
    assert "Go back to r1: kubectl annotate em/glyphs" in text
    world.set_status("Pod", metadata["name"], status | {"containerStatuses": [side]})
    text = shown(view_of(snapshot(world)), world, width=400)
    assert "glyphs-r2-encoder-0: crashed in container monitor, exit code 1: boom" in text


def test_gates_of_what_failed_are_shown_though_the_columns_are_of_what_serves() -> None:
    found = view("gate failed")
    assert (found.judged, found.gates_summary) == ("r2", None)
    assert [gate.verdict for gate in found.gates] == ["Fail"]
    assert "gates of r2" in printed("gate failed", width=400)
    assert (view("two").judged, view("two").gates_summary) == ("r2", "1/1")
    assert (view("rolled back").judged, view("rolled back").gates_summary) == ("r1", "1/1")


@pytest.mark.parametrize("name", SITUATIONS)
def test_every_situation_is_readable_in_100_columns_of_a_pipe(name: str) -> None:
    text = printed(name)
    assert "\x1b" not in text
    commands = {f"{c.label}: {c.command}" for c in view(name).commands}
    for line in text.splitlines():
        assert len(line) <= 100 or line in commands
    assert commands <= set(text.splitlines())


@pytest.mark.parametrize("name", SITUATIONS)
def test_the_message_is_split_without_loss(name: str) -> None:
    message = world_of(name).status.get("message") or ""
    prose, commands = split_message(message)
    again = "; ".join(f"{found.label}: {found.command}" for found in commands)
    assert f"{prose} {again}".strip() == message
    assert "kubectl" not in prose
    assert all(found.command.startswith("kubectl ") for found in commands)


def test_where_long_lines_would_be_cut_off_commands_are_folded() -> None:
    console = Console(file=io.StringIO(), width=40, highlight=False, markup=False)
    console.print(tree(view("at a step"), worlds.START, fold=True))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= 40
    assert "lockstep.dev/abort=r2" in text.replace("\n", "")


def test_a_terminal_gets_colours() -> None:
    assert "\x1b[" in shown(view("healthy"), world_of("healthy"), tty=True)


def test_a_model_without_a_status_is_no_error() -> None:
    model = {"metadata": {"namespace": "shop", "name": "new", "generation": 1}, "spec": {}}
    found = view_of(Snapshot(model))
    assert (found.phase, found.observed) == ("Pending", False)
    assert "has not looked at this model yet" in shown(found, worlds.World())


def test_an_unseen_spec_is_told() -> None:
    assert "The operator has not seen the newest spec yet." in printed("just changed")


@given(st.floats(min_value=0, max_value=1e8))
def test_an_age_is_never_wrong_by_more_than_half(seconds: float) -> None:
    now = worlds.START + timedelta(seconds=seconds)
    number, unit = ago(worlds.START, now).split()
    size = {"s": 1, "min": 60, "h": 3600, "d": 86_400}[unit]
    assert int(number) * size <= seconds < (int(number) + 1) * size
    assert unit == "s" or int(number) >= 2


def test_a_clock_behind_shows_no_negative_age() -> None:
    assert ago(worlds.START, worlds.START - timedelta(seconds=5)) == "0 s"
