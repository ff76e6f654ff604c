"""The answers as a picture: one self-contained HTML page, light and dark, no script."""

from __future__ import annotations

from html import escape
from string import Template

from examples.glyphs.demo.curve import Curve, draw
from examples.glyphs.demo.searches import Answer, Glyphs

PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Lockstep: $release answers</title>
<style>
:root { color-scheme: light dark; --line: #8884; --good: #1a7f37; --bad: #cf222e; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; } p { max-width: 48rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; font-size: .9rem; }
dt { opacity: .7; } dd { margin: 0; font-family: ui-monospace, monospace; }
.answer { display: flex; align-items: center; gap: 1rem; border-top: 1px solid var(--line);
  padding: .6rem 0; }
.hits { display: flex; flex-wrap: wrap; gap: .5rem; }
figure { margin: 0; text-align: center; font-size: .75rem; font-variant-numeric: tabular-nums; }
img { width: 56px; height: 56px; image-rendering: pixelated; background: #000;
  border: 3px solid transparent; border-radius: 4px; display: block; }
.query { flex: 0 0 9.5rem; overflow-wrap: anywhere; }
.query img { width: 80px; height: 80px; margin: 0 auto; }
svg { width: 100%; font: 12px system-ui, sans-serif; } svg text { fill: currentColor; }
polyline { fill: none; stroke-width: 2; } .grid, .mark { stroke: var(--line); }
.mark { stroke-dasharray: 3 3; stroke: currentColor; opacity: .5; }
.right { stroke: var(--good); color: var(--good); } .drift { stroke: #bf5600; color: #bf5600; }
.bound { stroke: #8b8b8b; color: #8b8b8b; } .bound, polyline.bound { stroke-dasharray: 6 4; }
b.right, b.drift, b.bound { stroke: none; }
.same img { border-color: var(--good); } .other img { border-color: var(--bad); }
</style></head><body>
<h1>One drawing finds its character in the other fonts</h1>
<p>On the left, a character that the model never saw in training, drawn in one font. On the right,
the nearest drawings of all $rows in the index, nearest first, with their distance.
<b style="color:var(--good)">Green</b> is the same character in another font,
<b style="color:var(--bad)">red</b> another character.</p>
<dl><dt>release</dt><dd>$release</dd><dt>encoder's space</dt><dd>$space</dd>
<dt>index's space</dt><dd>$index_space</dd>
<dt>first neighbour right</dt><dd>$right of $asked</dd></dl>
$answers
$drift
</body></html>
""")
DRIFT = Template("""<h1>When visitors drew what no release had seen</h1>
<p>New visitors draw kana. <b class="right">Share of their searches whose nearest drawing is the
same character</b> (left axis), and <b class="drift">drift of all queries</b>: the distance (MMD)
from the traffic that the policy learned (right axis), with its <b class="bound">tolerance</b>.
The drift says so before anybody complains; the release that was trained with their drawings
brings the answers, and its own traffic becomes what is compared with.</p>
$curve""")


def _figure(glyphs: Glyphs, row: int, kind: str, caption: str) -> str:
    title = escape(f"{glyphs.labels[row]}  {glyphs.ids[row]}")
    return (
        f'<figure class="{kind}" title="{title}"><img src="{glyphs.data_uri(row)}"'
        f' alt="{title}"><figcaption>{escape(caption)}</figcaption></figure>'
    )


def _answer(glyphs: Glyphs, answer: Answer) -> str:
    hits = "".join(
        _figure(glyphs, hit.row, "same" if hit.is_same else "other", f"{hit.distance:.3f}")
        for hit in answer.hits
    )
    query = _figure(glyphs, answer.row, "query", str(glyphs.ids[answer.row]))
    return f'<section class="answer">{query}<div class="hits">{hits}</div></section>'


def render(glyphs: Glyphs, answers: list[Answer], curve: Curve | None = None) -> str:
    """The page. Takes at least one answer. The curve is that of drift, where it was seen."""
    drift = DRIFT.substitute(curve=draw(curve)) if curve is not None and curve.tells else ""
    first = answers[0]
    return PAGE.substitute(
        release=escape(first.release),
        space=escape(first.space_id),
        index_space=escape(first.index_space_id),
        rows=f"{len(glyphs.ids):,}",
        right=sum(answer.hits[0].is_same for answer in answers),
        asked=len(answers),
        answers="\n".join(_answer(glyphs, answer) for answer in answers),
        drift=drift,
    )
