"""Where a retry enters after damaged files, and which facts of the record begin anew."""

from __future__ import annotations

from typing import Any

import pytest

from lockstep_operator.api.release import Attempts, Stage
from lockstep_operator.api.stored import DamagedArtifact
from lockstep_operator.decide.releases.remaking import remade
from tests.unit.manifests.support import samples

pytestmark = pytest.mark.unit

INDEXES = ("catalogue", "second")
BEFORE = Attempts(
    training=2,
    evaluating=1,
    indexing={"catalogue": 1, "second": 3},
    failures={"train": 1, "build-second": 2},
)
FROM_MODEL = {"training", "evaluation", "gates", "gates_passed_at", "builds", "built_at", "damaged"}


def lost(*names: str | None) -> list[DamagedArtifact]:
    return [DamagedArtifact(artifact=samples.digest("a"), index=name) for name in names]


def record(*names: str | None, attempts: Attempts = BEFORE, **spec: Any) -> Any:
    """What becomes of a release that lost these: an index each, None its model."""
    release = samples.release(2, indexes=INDEXES, **spec)
    status = release.status.replace(attempts=attempts, damaged=lost(*names) or None)
    return remade(type(release)(**{**vars(release), "status": status}))


def test_a_release_that_lost_nothing_is_not_made_again() -> None:
    assert record() is None


@pytest.mark.parametrize(
    ("names", "whole", "attempts"),
    [
        (("catalogue",), ["second"], {"catalogue": 2, "second": 3}),
        (("second",), ["catalogue"], {"catalogue": 1, "second": 4}),
        (INDEXES, [], {"catalogue": 2, "second": 4}),
    ],
)
def test_lost_builds_are_made_again_and_whole_ones_stay(
    names: tuple[str, ...], whole: list[str], attempts: dict[str, int]
) -> None:
    stage, fields = record(*names)
    assert stage is Stage.INDEXING and set(fields) == {"builds", "built_at", "damaged", "attempts"}
    assert [build.index for build in fields["builds"] or ()] == whole
    expected = BEFORE.replace(indexing=attempts, failures={})
    assert fields["attempts"] == expected and fields["damaged"] is None


@pytest.mark.parametrize("names", [(None,), (None, "second"), ("second", None)])
def test_after_a_lost_model_all_that_follows_is_made_for_the_one_that_comes(
    names: tuple[str | None, ...],
) -> None:
    stage, fields = record(*names)
    assert stage is Stage.TRAINING
    assert {name for name, value in fields.items() if value is None} == FROM_MODEL
    assert fields["attempts"] == Attempts(
        training=3, evaluating=2, indexing={"catalogue": 2, "second": 4}
    )


def test_an_import_is_imported_again_and_a_reused_model_is_trained() -> None:
    spec: dict[str, Any] = {"training": None, "artifact": samples.ARTIFACT}
    stage, fields = record(None, attempts=Attempts(importing=1), **spec)
    assert stage is Stage.IMPORTING and fields["attempts"].importing == 2
    assert fields["attempts"].training == 0
    reuse = {"release": "glyphs-r1", "training": samples.training_facts()}
    stage, fields = record(None, attempts=Attempts(indexing={"catalogue": 1}), reuse=reuse)
    assert stage is Stage.TRAINING and fields["attempts"].training == 1
