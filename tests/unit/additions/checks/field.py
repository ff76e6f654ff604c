"""The toy field goes from the CRD to the pods, in place."""

from __future__ import annotations

from tests.unit.additions.checks.support.generated import schema_of
from tests.unit.decide.worlds import World, healthy


def grace(world: World) -> int:
    deployment = world.objects["Deployment", "glyphs-r1-encoder"]
    seconds: int = deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    return seconds


def test_the_api_server_knows_it() -> None:
    field = schema_of("embeddingmodels", "spec.serving.drainSeconds")
    assert (field["minimum"], field["maximum"], field["default"]) == (1, 600, 30)
    assert field["description"].startswith("Seconds in which")


def test_it_reaches_the_pods_and_makes_no_release() -> None:
    world = healthy()
    assert grace(world) == 30
    world.change_model("serving.drainSeconds", 90).run()
    assert grace(world) == 90
    assert world.stage(1) == "Serving" and not world.has_release(2)
