"""What the person on call reads, word for word: what happens, why, what serves, what to do."""

from __future__ import annotations

import pytest

from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_operator.api.release import Stage
from lockstep_operator.decide.snapshot.observed import Refusal
from lockstep_operator.decide.vocabulary.reasons import Reason
from tests.unit.decide import worlds
from tests.unit.decide.worlds import World

pytestmark = pytest.mark.unit

ASK = "kubectl annotate em/glyphs -n shop --overwrite lockstep.dev/"
CHANGE = "Change `spec.training`, `spec.artifacts` or an index, and a new release starts at once."


def no_index() -> World:
    return worlds.World().apply_model().settle()


def first_training() -> World:
    return worlds.World().apply_model().apply_index().settle()


def attempt_failed() -> World:
    world = worlds.second("Training")
    world.end_job("glyphs-r2-train-1", code=74)
    return world.settle()


def bad_data() -> World:
    world = worlds.second("Training")
    world.end_job("glyphs-r2-train-1", code=3)
    return world.settle()


def gate_failed() -> World:
    world = worlds.healthy()
    world.recall = 0.884
    return world.change_model("training.seed", 7).run()


def too_few_samples() -> World:
    world = worlds.healthy()
    world.samples = 200
    return world.change_model("training.seed", 7).run()


def interval_spans_the_bound() -> World:
    world = worlds.healthy()
    world.recall, world.samples = 0.955, 400
    return world.change_model("training.seed", 7).run()


def too_near_below_the_bound() -> World:
    world = worlds.healthy()
    world.recall, world.samples = 0.945, 400
    return world.change_model("training.seed", 7).run()


def no_data() -> World:
    world = worlds.healthy()
    world.samples = 0
    return world.change_model("training.seed", 7).run()


def index_recall_low() -> World:
    world = worlds.healthy()
    world.build_changes = {"recall": {"n": 1000, "mean": 0.93, "standardDeviation": 0.1}}
    return world.change_model("training.seed", 7).run()


def pods_are_made() -> World:
    """The write that makes them: nothing alarms, and an index is not told four times."""
    world = worlds.second("Indexing")
    world.end_jobs()
    world.step()
    return world


def held_by_the_server() -> World:
    world = worlds.second("Warming").ready_all()
    refusal = Refusal("Service", "glyphs", "exceeded quota: services.", "Forbidden")
    world.refusals = (refusal,)
    world.step()
    return world


def paused_whole() -> World:
    return worlds.second("Warming").annotate("pause", "r2").settle().ready_all().settle()


def rolled_back_and_gone() -> World:
    return worlds.two().annotate("rollback", "r1").run().pass_time(90_000).run()


def unready() -> World:
    world = worlds.two()
    world.ready("Deployment", "glyphs-r2-encoder", ready=0)
    return world.settle()


def unready_while_another_comes() -> World:
    world = worlds.second("Training")
    world.ready("Deployment", "glyphs-r1-encoder", ready=0)
    return world.settle()


GOLDEN = {
    "no index": (
        no_index,
        "Pending",
        "Waits: no VectorIndex names this model: apply one with `spec.modelRef.name: glyphs`, or"
        " set `spec.indexing: None` to release the encoder alone.",
    ),
    "the first release trains": (
        first_training,
        "Progressing",
        f"r1 trains, attempt 1 of 3. Nothing serves yet. Stop: {ASK}abort=r1",
    ),
    "healthy": (worlds.healthy, "Healthy", "r1 serves all requests."),
    "an attempt failed": (
        attempt_failed,
        "Progressing",
        "r2 waits to try again: StoreUnavailable: ended with StoreUnavailable; attempt 2 starts at"
        f" 2026-01-31T12:00:28Z. r1 serves all requests. Stop: {ASK}abort=r2",
    ),
    "the data is bad": (
        bad_data,
        "Degraded",
        "r2 failed at Training: BadDataset: ended with BadDataset. r1 serves all requests."
        f" {CHANGE} Or mend the cause and try again: {ASK}retry=r2",
    ),
    "a gate failed": (
        gate_failed,
        "Degraded",
        "r2 failed at Evaluating: GateFailed: relevance: recall@1 0.884 < 0.950 FAIL (95% upper"
        " 0.892); gain over raw inputs +0.030 < 0.050 FAIL (95% upper +0.037); n=4623; train"
        " better, or lower gate relevance in `spec.rollout.gates`. r1 serves all requests."
        f" {CHANGE} Or mend the cause and try again: {ASK}retry=r2",
    ),
    "too few samples": (
        too_few_samples,
        "Paused",
        "r2 waits for a person at gate relevance: recall@1 0.990 >= 0.950 not shown (95% from"
        " 0.970 to 0.997); gain over raw inputs +0.136 >= 0.050 not shown (95% from +0.101 to"
        " +0.171); n=200 of 300 needed (`minSamples`): hold out more classes. r1 serves all"
        f" requests. Continue: {ASK}promote=r2; Measure again: {ASK}retry=r2;"
        f" Stop: {ASK}abort=r2",
    ),
    "the interval spans the bound": (
        interval_spans_the_bound,
        "Paused",
        "r2 waits for a person at gate relevance: recall@1 0.955 >= 0.950 not shown (95% from"
        " 0.935 to 0.969); gain over raw inputs +0.101 >= 0.050 OK (95% lower +0.076); n=400:"
        " about 6,608 would decide; hold out more classes. r1 serves all requests."
        f" Continue: {ASK}promote=r2; Measure again: {ASK}retry=r2; Stop: {ASK}abort=r2",
    ),
    "an index is not good enough": (
        index_recall_low,
        "Degraded",
        "r2 failed at Verifying: IndexRecallLow: index glyphs: recall@10 0.930 < 0.950 FAIL (95%"
        " lower 0.916; n=1000); raise `spec.index.hnsw.efSearch` of VectorIndex glyphs, or lower"
        f" its `spec.objectives.recall.min`. r1 serves all requests. {CHANGE} Or mend the"
        f" cause and try again: {ASK}retry=r2",
    ),
    "pods are made": (
        pods_are_made,
        "Progressing",
        "r2 starts its pods: Service glyphs-r2-glyphs, Deployment glyphs-r2-glyphs, Service"
        " glyphs-r2-encoder, Deployment glyphs-r2-encoder are being made. r1 serves all requests."
        f" Stop: {ASK}abort=r2",
    ),
    "the entry point is refused": (
        held_by_the_server,
        "Progressing",
        "r2 is whole: the entry point moves to it. The API server refused Service glyphs: exceeded"
        " quota: services. It is tried again. r1 serves all requests."
        f" Stop: {ASK}abort=r2",
    ),
    "pods start": (
        lambda: worlds.second("Warming"),
        "Progressing",
        "r2 starts its pods: Deployment glyphs-r2-glyphs has 0 of 1 pods ready; Deployment"
        " glyphs-r2-encoder has 0 of 1 pods ready. r1 serves all requests. Stop:"
        f" {ASK}abort=r2",
    ),
    "paused": (
        paused_whole,
        "Paused",
        "r2 is paused by a person. It is done with Warming and held before Promoting. r1 serves"
        " all requests. Continue: kubectl annotate em/glyphs -n shop lockstep.dev/pause-; Stop:"
        f" {ASK}abort=r2",
    ),
    "paused before anything": (
        lambda: worlds.healthy(rollout={"paused": True}),
        "Paused",
        "A change waits: `spec.rollout.paused` is true. Nothing serves yet. Start: kubectl patch"
        ' em/glyphs -n shop --type=merge -p \'{"spec":{"rollout":{"paused":false}}}\'',
    ),
    "aborted": (
        lambda: worlds.second("Training").annotate("abort", "r2").run(),
        "Degraded",
        f"r2, which the spec asks for, was aborted. r1 serves all requests. {CHANGE} Or start it"
        f" again: {ASK}retry=r2",
    ),
    "rolled back": (
        lambda: worlds.two().annotate("rollback", "r1").run(),
        "Degraded",
        "r2, which the spec asks for, was rolled back. r1 serves all requests. Make it lasting:"
        " apply the spec of the release that serves. Go forward again:"
        f" {ASK}rollback=r2",
    ),
    "rolled back long ago": (
        rolled_back_and_gone,
        "Degraded",
        "r2, which the spec asks for, was rolled back. r1 serves all requests. Make it lasting:"
        " apply the spec of the release that serves.",
    ),
    "the pods of what serves are gone": (
        unready,
        "Degraded",
        "r2 holds the entry point but cannot answer. Deployment glyphs-r2-encoder has 0 of 1 pods"
        f" ready. Go back to r1: {ASK}rollback=r1",
    ),
    "they are gone while another release comes": (
        unready_while_another_comes,
        "Degraded",
        "r1 holds the entry point but cannot answer. Deployment glyphs-r1-encoder has 0 of 1 pods"
        " ready. r2 trains, attempt 1 of 3. No other release is kept whole to go back to. See"
        f" why: kubectl get pods -l lockstep.dev/release=glyphs-r1 -n shop; Stop: {ASK}abort=r2",
    ),
    "the spec is not one": (
        lambda: worlds.healthy().change_model("training.budget.maxSteps", -1).settle(),
        "Degraded",
        "`spec.training.budget.maxSteps` (-1): Input should be greater than or equal to 1. What"
        " serves goes on serving; nothing else is done.",
    ),
    "pods are changed in place": (
        lambda: worlds.healthy().change_model("serving.replicas", 3).settle(),
        "Progressing",
        "r1 serves all requests. Its pods are changed in place: Deployment glyphs-r1-encoder has 1"
        " of 3 pods ready.",
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_the_message_to_the_person_on_call(name: str) -> None:
    make, phase, message = GOLDEN[name]
    world = make()
    assert (world.status["phase"], world.status["message"]) == (phase, message)
    assert world.condition("Ready")["message"] == message


def test_gates_that_have_no_data_or_are_near_below_say_so() -> None:
    assert "recall@1 has no data, bound 0.950" in no_data().status["message"]
    assert "too few queries to show that it fails" in too_near_below_the_bound().status["message"]


def test_every_status_obeys_the_contract() -> None:
    """Integer generations, Ready always, the kstatus pair only while true, sorted by type."""
    for make, _, _ in GOLDEN.values():
        world = make()
        objects = [("EmbeddingModel", "glyphs")]
        objects += [key for key in world.objects if key[0] in ("VectorIndex", "EmbeddingRelease")]
        for key in objects:
            raw = world.objects[key]
            status = raw["status"]
            types = [condition["type"] for condition in status["conditions"]]
            assert types == sorted(types) and "Ready" in types
            if "budget.maxSteps" not in status.get("message", ""):
                assert status["observedGeneration"] == raw["metadata"]["generation"]
            for condition in status["conditions"]:
                assert isinstance(condition["observedGeneration"], int)
                if condition["type"] in ("Reconciling", "Stalled"):
                    assert condition["status"] == "True"


def test_every_reason_is_one_that_is_documented() -> None:
    programs = {code.name.title().replace("_", "") for code in ExitCode}
    known = {str(word) for word in (*Reason, *Stage)} | programs
    for make, _, _ in GOLDEN.values():
        world = make()
        for raw in world.objects.values():
            if raw["kind"] in worlds.OWN:
                assert {c["reason"] for c in raw["status"]["conditions"]} <= known
        assert set(world.reasons()) <= known
