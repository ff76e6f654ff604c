"""The page that a training leaves: whole, alone, safe, and of the numbers of `report.json`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lockstep_core.artifacts import ArtifactStore, ModelManifest, Role, sha256_bytes
from lockstep_core.jobs import Reporter, Stopping
from lockstep_core.protocol.config import TrainConfig
from lockstep_core.protocol.storage import ArtifactsSpec
from lockstep_trainer.commands.run import train_release
from lockstep_trainer.evaluation import Evaluation, assess
from lockstep_trainer.evaluation.baselines import serving_embeddings
from lockstep_trainer.report import charts, words
from lockstep_trainer.report.page import value_at
from lockstep_trainer.report.pictures import picture
from lockstep_trainer.report.projection import MAX_POINTS, principal_plane, shown_rows

pytestmark = [pytest.mark.unit, pytest.mark.programs]

NASTY = "</script><b onclick='x'>&amp;"
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Every element closes in order; attributes and marked numbers are collected."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.numbers: list[tuple[str, str, str]] = []
        self.scripts: dict[str, str] = {}
        self.words = ""
        self._number: tuple[str, str] | None = None
        self._script: str | None = None
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.attributes += [(tag, name, value) for name, value in found.items()]
        if tag == "data":
            self._number = (found["data-path"], found["value"])
        if tag == "script":
            self._script = found.get("id", "program")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag == "script":
            self._script = None

    def handle_data(self, data: str) -> None:
        if self._script is not None:
            self.scripts[self._script] = self.scripts.get(self._script, "") + data
        elif self._number is not None:
            self.numbers.append((*self._number, data))
            self._number = None
        self.words += data


@dataclass(frozen=True)
class Left:
    """What one training left."""

    manifest: ModelManifest
    report: dict[str, Any]
    text: str
    warnings: list[str]
    store: ArtifactStore


def trained(root: Path, config: dict[str, Any]) -> Left:
    store = ArtifactStore.open(ArtifactsSpec(uri=f"file://{root}", claim_name="volume"))
    reporter = Reporter("Train", "glyphs-r1")
    facts = train_release(TrainConfig.model_validate(config), store, reporter, Stopping())
    folder = root / "fetched" / config["releaseUID"]
    manifest = store.fetch(facts.artifact_digest, folder, ModelManifest)
    report = json.loads((folder / "report.json").read_text())
    text = (folder / "report.html").read_text()
    return Left(manifest, report, text, list(reporter.progress.warnings), store)


def config_of(root: Path, **training: Any) -> dict[str, Any]:
    return {
        "release": "glyphs-r1",
        "releaseUID": "uid-1",
        "artifacts": {"uri": f"file://{root}", "claimName": "volume"},
        "training": {
            "data": {
                "uri": f"file://{root}/set.npz",
                "format": "NPZ",
                "split": {"evalFraction": "0.3"},
            },
            "encoder": {"kind": "CNN", "dimension": 8, "width": 4},
            "batch": {"classes": 8, "perClass": 4},
            "budget": {"maxSteps": 20},
            "evaluation": {"everySteps": 10},
            **training,
        },
    }


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory, glyphs: tuple[np.ndarray, np.ndarray]) -> Left:
    """By a training whose labels are a danger to a page, and whose stable model is gone."""
    root = tmp_path_factory.mktemp("store")
    labels = np.array([f"{NASTY}{label}" for label in glyphs[1]])
    np.savez(root / "set.npz", inputs=glyphs[0], labels=labels)
    return trained(root, config_of(root) | {"stableArtifactDigest": "sha256:" + "0" * 64})


def test_the_page_is_a_report_of_the_artifact_and_well_formed(left) -> None:
    manifest, report, text = left.manifest, left.report, left.text
    roles = {entry.path: entry.role for entry in manifest.files}
    assert roles["report.html"] == roles["report.json"] == Role.REPORT
    page = Page(text)
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert "$" not in re.sub(r"<script.*?</script>", "", text, flags=re.S)
    assert len(text) < 1_000_000
    assert json.loads(page.scripts["report"]) == report


def test_the_page_needs_nothing_from_elsewhere(left) -> None:
    text = left.text
    page = Page(text)
    for tag, name, value in page.attributes:
        if name in ("src", "href", "xlink:href", "srcset", "action", "poster"):
            assert value.startswith("data:image/png;base64,"), (tag, name, value[:40])
        assert not name.startswith("on"), (tag, name)
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style and "@import" not in style
    assert "http:" not in text and "https:" not in text
    assert "fetch(" not in page.scripts["program"] and "import" not in page.scripts["program"]
    assert NASTY in page.words and NASTY not in text


def test_every_number_of_the_page_is_one_of_the_report(left) -> None:
    report, text = left.report, left.text
    numbers = Page(text).numbers
    for path, value, shown in numbers:
        found = value_at(report, path)
        assert float(value) == found, path
        assert float(shown.replace(",", "")) == pytest.approx(
            found, abs=6e-2 if "Seconds" in path else 6e-4
        )
    paths = {path for path, _, _ in numbers}
    for column in report["quality"]:
        assert {f"quality.{column}.{path}" for path, _, _ in words.METRICS} <= paths
    assert {"steps", "finalLoss", "worstClasses.0.recallAt1", "confusions.0.distance"} <= paths


def test_the_report_names_what_is_wrong_by_row(left, glyphs) -> None:
    report = left.report
    assert set(report["quality"]) == {"trained", "untrained", "raw"}
    assert report["versions"]["torch"]
    for found in report["confusions"]:
        item, nearest, own = found["item"], found["nearest"], found["own"]
        for one in (item, nearest, own):
            assert one["label"] == NASTY + glyphs[1][one["row"]] and one["id"] == str(one["row"])
        assert item["label"] == own["label"] != nearest["label"]
        assert found["distance"] <= found["ownDistance"]
    worst = [found["recallAt1"] for found in report["worstClasses"]]
    assert worst == sorted(worst) and worst[-1] < 1


def test_the_model_that_serves_is_a_baseline_where_it_can_be_had(left, glyphs) -> None:
    told: list[str] = []
    digest = sha256_bytes(left.manifest.to_bytes())
    items = glyphs[0][:40]
    found = serving_embeddings(left.store, digest, items, told.append)
    assert found is not None and found.shape == (40, 8) and told == []
    assert np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-5)
    assert serving_embeddings(left.store, None, items, told.append) is None and told == []
    # Items of another form, and an artifact that is not there.
    assert serving_embeddings(left.store, digest, items[:, :8], told.append) is None
    assert "not among the baselines" in told[0]
    assert any("sha256:0000" in warning for warning in left.warnings)
    assessed = assess(found, np.repeat(list("abcd"), 10))
    assert "serving" in Evaluation(*[assessed] * 4).to_wire()


def test_items_of_every_kind_have_a_picture() -> None:
    grey = np.arange(400, dtype=np.uint8).reshape(1, 20, 20)
    for inputs in (
        grey,
        grey[..., None],
        np.repeat(grey[..., None], 3, axis=3),
        np.zeros((1, 300, 900), np.uint8),
    ):
        assert picture(inputs, 0).startswith('<img class="item" alt="" src="data:image/png;base64,')
    texts = np.array([NASTY + "x" * 500], dtype=np.dtypes.StringDType())
    shown = picture(texts, 0)
    assert "<b" not in shown and "…" in shown and len(shown) < 300
    assert picture(np.zeros((2, 3), np.float32), 1).count("M") == 3
    assert picture(np.ones((1, 1000), np.float32), 0).count("v-30.0") == 64


def test_a_verdict_names_the_best_alternative() -> None:
    def report(**recalls: float) -> dict[str, Any]:
        return {"quality": {name: {"recallAt1": value} for name, value in recalls.items()}}

    assert words.verdict(report(trained=0.9, untrained=0.5, raw=0.8))[0] == "good"
    tone, told = words.verdict(report(trained=0.9, untrained=0.5, raw=0.8, serving=0.95))
    assert tone == "bad" and told.startswith("Worse than the model that serves now (0.950)")
    assert words.verdict(report(trained=0.9, untrained=0.5, raw=0.9))[1].startswith(
        "No better than"
    )


def test_ticks_are_round_and_span_the_values() -> None:
    assert charts.nice_ticks(0.11, 0.93) == pytest.approx([0, 0.25, 0.5, 0.75, 1.0])
    for low, high in ((0.5, 0.5), (0.0, 1e-9), (-3, 1000), (0.2, 0.2001)):
        ticks = charts.nice_ticks(low, high)
        assert ticks[0] <= low + 1e-12 and ticks[-1] >= high - 1e-12 and 2 <= len(ticks) <= 8
    many = [(step, 0.5) for step in range(5000)]
    assert len(charts.thinned(many)) <= charts.MAX_POINTS + 1
    assert charts.thinned(many)[-1] == many[-1]
    assert "<svg" in charts.line_chart([charts.Line("none", [], "s1")])


def test_the_plane_is_that_of_most_variance() -> None:
    generator = np.random.default_rng(0)
    points = (generator.normal(size=(500, 6)) * [9, 0.1, 4, 0.1, 0.1, 0.1]).astype(np.float32)
    found, kept = principal_plane(points)
    assert kept > 0.99
    assert abs(np.corrcoef(found[:, 0], points[:, 0])[0, 1]) == pytest.approx(1, abs=1e-3)
    assert abs(np.corrcoef(found[:, 1], points[:, 2])[0, 1]) == pytest.approx(1, abs=1e-3)
    assert np.array_equal(principal_plane(points)[0], found)
    assert principal_plane(np.ones((4, 3), np.float32))[1] == 0
    labels = np.repeat(np.arange(500).astype(str), 7)
    rows = shown_rows(labels)
    assert MAX_POINTS - 7 < len(rows) <= MAX_POINTS and len(rows) % 7 == 0
    assert len(shown_rows(np.repeat("one", 5000))) == MAX_POINTS


def test_a_page_that_fails_costs_no_training(tmp_path, monkeypatch, glyphs) -> None:
    from lockstep_trainer.report import files

    def broken(*_: object) -> str:
        raise RuntimeError("no page")

    monkeypatch.setattr(files, "render", broken)
    told: list[str] = []
    written = files.write_reports(
        {"release": "x"}, None, np.zeros((1, 2), np.float32), tmp_path, told.append
    )  # type: ignore[arg-type]
    assert written == ("report.json",) and "no page" in told[0]
    assert json.loads((tmp_path / "report.json").read_text()) == {"release": "x"}
