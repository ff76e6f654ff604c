"""`report.html`: one file, no network, no library. Every number on it is one of `report.json`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

import numpy as np

from lockstep_trainer.evaluation import Floats
from lockstep_trainer.report import words
from lockstep_trainer.report.charts import Line, line_chart
from lockstep_trainer.report.pictures import picture
from lockstep_trainer.report.projection import principal_plane, scatter, shown_rows
from lockstep_trainer.validation import TrainingData

Report = dict[str, Any]


def render(report: Report, data: TrainingData, embeddings: Floats) -> str:
    """The page, as text; `embeddings` [N, D] are of `data.eval_rows`."""
    here = files("lockstep_trainer.report")
    tone, sentence = words.verdict(report)
    return Template((here / "page.html").read_text(encoding="utf-8")).substitute(
        style=(here / "page.css").read_text(encoding="utf-8"),
        script=(here / "page.js").read_text(encoding="utf-8"),
        release=escape(report["release"]),
        tone=tone,
        recall=number(report, "quality.trained.recallAt1", digits=3),
        verdict=escape(sentence),
        held_out=escape(words.held_out(report)),
        findings=_findings(report),
        quality=_quality(report),
        loss=_loss(report),
        recalls=_recalls(report),
        plane=_plane(data, embeddings),
        classes=_classes(report),
        confusions=_confusions(report, data),
        contradicted=_contradicted(report, data),
        facts=_facts(report),
        config=escape(json.dumps(report["training"], indent=2, ensure_ascii=False)),
        # Within a script element only its end tag and a comment have a meaning.
        json=json.dumps(report, ensure_ascii=False).replace("<", "\\u003c"),
    )


def value_at(report: Report, path: str) -> Any:
    """What lies at `a.b.0.c` of the report; None where it has no such thing."""
    value: Any = report
    for key in path.split("."):
        if isinstance(value, list):
            value = value[int(key)] if int(key) < len(value) else None
        else:
            value = value.get(key) if isinstance(value, dict) else None
    return value


def number(report: Report, path: str, *, digits: int = 4) -> str:
    """The number at `path`, marked with it."""
    value = value_at(report, path)
    if value is None:
        return '<span class="none">–</span>'
    shown = f"{value:,}" if isinstance(value, int) else f"{value:.{digits}f}"
    return f'<data value="{value}" data-path="{escape(path)}">{shown}</data>'


def _findings(report: Report) -> str:
    cards = [
        f'<li class="card bad"><h3>{escape(words.FINDINGS[finding["name"]])}'
        f" <small>{escape(finding['name'])}, step"
        f" {number(report, f'findings.{at}.step')}</small></h3>"
        f"<p>{escape(finding['message'])}.</p></li>"
        for at, finding in enumerate(report["findings"])
    ]
    cards += [
        f'<li class="card warn"><h3>Of the data set</h3><p>{escape(warning)}</p></li>'
        for warning in report["dataset"]["warnings"]
    ]
    if not cards:
        return '<p class="quiet">Nothing was found: no collapse, no overfitting, labels agree.</p>'
    return f'<ul class="cards">{"".join(cards)}</ul>'


def _quality(report: Report) -> str:
    shown = [name for name in words.COLUMNS if name in report["quality"]]
    head = "".join(f'<th scope="col">{escape(words.COLUMNS[name])}</th>' for name in shown)
    rows = "".join(
        f'<tr><th scope="row">{escape(title)}<small>{escape(meaning)}</small></th>'
        + "".join(f"<td>{number(report, f'quality.{name}.{path}')}</td>" for name in shown)
        + "</tr>"
        for path, title, meaning in words.METRICS
    )
    return (
        f'<table class="quality"><thead><tr><td></td>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def _series(points: Iterable[Report], key: str) -> list[tuple[float, float]]:
    return [(point["step"], point[key]) for point in points if key in point]


def _loss(report: Report) -> str:
    curve = report["curve"]
    loss = line_chart([Line("loss", _series(curve, "loss"), "s1")], mark=report["exportedStep"])
    other = line_chart(
        [
            Line("share of terms that still teach", _series(curve, "active_triplets"), "s2"),
            Line("variance of a batch", _series(curve, "variance"), "s3"),
        ],
        mark=report["exportedStep"],
    )
    return f"<figure>{loss}</figure><figure>{other}</figure>"


def _recalls(report: Report) -> str:
    eval_points = report["evaluations"]
    lines = [
        Line("recall@1, held out", _series(eval_points, "recall_at_1"), "s1"),
        Line("recall@1, training items", _series(eval_points, "train_recall_at_1"), "s2"),
        Line("MAP@R, held out", _series(eval_points, "map_at_r"), "s3"),
    ]
    levels = [
        Line(f"recall@1, {words.COLUMNS[name]}", [(0, quality["recallAt1"])], "s4")
        for name, quality in report["quality"].items()
        if name in ("serving", "raw")
    ]
    hint = ""
    if len(eval_points) == 1:
        hint = '<p class="quiet">Set <code>evaluation.everySteps</code> to see it grow.</p>'
    chart = line_chart(lines, levels=levels, mark=report["exportedStep"])
    return f"<figure>{chart}{hint}</figure>"


def _plane(data: TrainingData, embeddings: Floats) -> str:
    labels, ids = data.dataset.labels[data.eval_rows], data.dataset.ids[data.eval_rows]
    points, kept = principal_plane(embeddings)
    if points.shape[1] < 2:
        points = np.pad(points, ((0, 0), (0, 2 - points.shape[1])))
    rows = shown_rows(labels)
    some = "" if len(rows) == len(labels) else f" {len(rows):,} of {len(labels):,} items are shown."
    return (
        f"{scatter(points[rows], labels[rows], ids[rows])}"
        f'<p id="told" class="quiet" aria-live="polite">Point at an item, or touch it, to see what'
        f" it is and where the rest of its class lies.</p><p class='quiet'>The plane keeps"
        f" {kept:.0%} of the variance: what lies apart here is apart, what lies together need not"
        f" be together.{some}</p>"
    )


def _classes(report: Report) -> str:
    if not report["worstClasses"]:
        return '<p class="quiet">Every held-out item that was asked finds its own class first.</p>'
    rows = "".join(
        f'<tr><th scope="row">{escape(worst["label"])}</th>'
        + "".join(
            f"<td>{number(report, f'worstClasses.{at}.{key}', digits=3)}</td>"
            for key in ("recallAt1", "averagePrecision", "queries")
        )
        + f"<td>{escape(worst.get('takenFor', '–'))}</td></tr>"
        for at, worst in enumerate(report["worstClasses"])
    )
    head = "".join(
        f'<th scope="col">{title}</th>'
        for title in ("class", "recall@1", "average precision", "items", "taken for")
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _confusions(report: Report, data: TrainingData) -> str:
    if not report["confusions"]:
        return '<p class="quiet">No item was taken for one of another class.</p>'
    return "".join(
        '<li class="confusion">'
        + _figure(confusion["item"], "item", "", data)
        + _figure(
            confusion["nearest"],
            "finds",
            number(report, f"confusions.{at}.distance", digits=3),
            data,
        )
        + _figure(
            confusion["own"],
            "should find",
            number(report, f"confusions.{at}.ownDistance", digits=3),
            data,
        )
        + "</li>"
        for at, confusion in enumerate(report["confusions"])
    ).join(('<ul class="confusions">', "</ul>"))


def _figure(item: Report, what: str, distance: str, data: TrainingData) -> str:
    near = f"at {distance}" if distance else "&nbsp;"
    return (
        f'<figure title="{escape(item["id"])}"><small>{what}</small>'
        f"{picture(data.dataset.inputs, item['row'])}"
        f"<figcaption>{escape(item['label'])}<small>{near}</small></figcaption></figure>"
    )


def _contradicted(report: Report, data: TrainingData) -> str:
    contradicted: Sequence[Report] = report["contradicted"]
    if not contradicted:
        return '<p class="quiet">None in the sample of training items that was looked at.</p>'
    items = "".join(
        f'<li><figure title="row {one["row"]}">{picture(data.dataset.inputs, one["row"])}'
        f"<figcaption>{escape(one['label'])}<small>looks like {escape(one['neighbours'])}</small>"
        "</figcaption></figure></li>"
        for one in contradicted
    )
    return f'<ul class="gallery">{items}</ul>'


def _facts(report: Report) -> str:
    rows = [
        ("steps", number(report, "steps")),
        ("exported encoder is of step", number(report, "exportedStep")),
        ("seconds of training", number(report, "trainingSeconds", digits=1)),
        ("GPU-seconds", number(report, "gpuSeconds", digits=1)),
        ("rewinds", number(report, "rewinds")),
        ("final loss", number(report, "finalLoss")),
        ("training items", number(report, "dataset.training.items")),
        ("training classes", number(report, "dataset.training.classes")),
        ("ONNX differs by at most", f"{report['parity']['maxAbsolute']:g}"),
        ("data set", f"<code>{escape(report['training']['data']['uri'])}</code>"),
        ("its digest", f"<code>{escape(report['dataset']['digest'])}</code>"),
        *((escape(name), escape(value)) for name, value in report["versions"].items()),
    ]
    return "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows)
