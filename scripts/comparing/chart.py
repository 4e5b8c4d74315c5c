"""Draws the comparison as one SVG: for every load, CPU for a delivery and the 99th percentile of latency. Pure."""

import math
from xml.sax.saxutils import escape

from comparing.document import TITLES, number, percent
from comparing.peers import PEERS
from comparing.results import summaries

WIDTH = 960
MARGIN = 24
NAME_WIDTH = 168
GAP = 40
VALUE_WIDTH = 96
ROW = 22
BAR = 13
PANEL_HEAD = 58
PANEL_FOOT = 26

STYLE = """
  .ground { fill: #ffffff } text { fill: #1f2328; font: 13px system-ui, sans-serif }
  .title { font-size: 17px; font-weight: 600 } .load { font-size: 14px; font-weight: 600 }
  .quiet, .axis { fill: #59636e; font-size: 12px } .axis { text-anchor: middle } .end { text-anchor: end }
  .rule { stroke: #d1d9e0; stroke-width: 1 } .range { stroke: #1f2328; stroke-width: 1 }
  .bar { fill: #8c959f } .floor { fill: #c4cbd2 } .gateway { fill: #0969da } .own { font-weight: 600 }
  .failed { fill-opacity: 0.18; stroke: #cf222e; stroke-width: 1; stroke-dasharray: 3 2 } .bad { fill: #cf222e }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117 } text { fill: #e6edf3 } .quiet, .axis { fill: #9198a1 }
    .rule { stroke: #30363d } .range { stroke: #e6edf3 }
    .bar { fill: #6e7681 } .floor { fill: #484f58 } .gateway { fill: #4493f8 }
    .failed { stroke: #f85149 } .bad { fill: #f85149 }
  }
"""


class Scale:
    """From values to pixels: linear from 0, or logarithmic by decades."""

    def __init__(self, values, width, logarithmic):
        values = [value for value in values if value > 0] or [1]
        self.width, self.logarithmic = width, logarithmic
        if logarithmic:
            # The least value has a bar too.
            self.low = 10 ** math.floor(math.log10(min(values)) - 0.3)
            self.high = 10 ** math.ceil(math.log10(max(values)) + 0.001)
        else:
            self.low, self.high = 0, max(values) * 1.02

    def __call__(self, value):
        if self.logarithmic:
            share = math.log10(max(value, self.low) / self.low) / math.log10(self.high / self.low)
        else:
            share = value / self.high
        return self.width * min(share, 1)

    def marks(self):
        """Values worth a line."""
        if self.logarithmic:
            decades = round(math.log10(self.high / self.low))
            return [self.low * 10**decade for decade in range(decades + 1)]
        step = 10 ** math.floor(math.log10(self.high))
        while self.high / step < 3:
            step /= 2
        return [step * count for count in range(int(self.high / step) + 1)]


def text(x, y, content, kind=""):
    attribute = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{attribute}>{escape(content)}</text>'


def shown_values(by_peer, figures, logarithmic):
    """What the scale is to hold: all, but on a linear one who did not keep up must not make all others small."""
    values = [value for figure in figures.values() if figure for value in (figure.low, figure.high)]
    kept_up = [figure.high for peer, figure in figures.items() if figure and by_peer[peer].kept_up]
    if logarithmic or not kept_up:
        return values
    return [min(value, 2 * max(kept_up)) for value in values]


def column(x, y, width, by_peer, field, title, logarithmic):
    """One measure of all peers under one load."""
    figures = {peer: getattr(summary, field) for peer, summary in by_peer.items()}
    scale = Scale(shown_values(by_peer, figures, logarithmic), width, logarithmic)
    bottom = y + ROW * len(by_peer)
    drawn = [text(x, y - 8, title, "quiet")]
    for mark in scale.marks():
        at = x + scale(mark)
        drawn.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{y}" y2="{bottom}" class="rule"/>')
        drawn.append(text(at, bottom + 15, f"{mark:g}", "axis"))
    for place, (peer, figure) in enumerate(figures.items()):
        middle = y + ROW * place + ROW / 2
        if figure is None:
            drawn.append(text(x + 6, middle + 4, "no figure", "quiet"))
            continue
        kind = peer if peer in ("floor", "gateway") else "bar"
        failed = "" if by_peer[peer].kept_up else " failed"
        length = max(scale(figure.median), 1)
        drawn.append(
            f'<rect x="{x}" y="{middle - BAR / 2}" width="{length:.1f}" height="{BAR}" rx="2" class="{kind}{failed}"/>'
        )
        low, high = x + scale(figure.low), x + scale(figure.high)
        if high - low > 1:
            drawn.append(f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}" class="range"/>')
        value = number(figure.median) + (" »" if figure.median > scale.high else "")
        drawn.append(text(max(x + length, high) + 6, middle + 4, value, "own" if peer == "gateway" else ""))
    return drawn


def failure(summary):
    """In two words, what was wrong."""
    if summary.delivered is None:
        return "no figures"
    if summary.died:
        return "died"
    if summary.delivered.median < 0.9995:
        return f"lost {percent(1 - summary.delivered.median)}"
    return "fell behind" if summary.is_late else "lost some"


def panel(y, shape, by_peer):
    """One load: the names, and both measures beside them."""
    width = (WIDTH - 2 * MARGIN - NAME_WIDTH - GAP - 2 * VALUE_WIDTH) / 2
    first = MARGIN + NAME_WIDTH
    top = y + PANEL_HEAD
    drawn = [text(MARGIN, y + 18, TITLES[shape], "load")]
    for place, (peer, summary) in enumerate(by_peer.items()):
        at = top + ROW * place + ROW / 2 + 4
        drawn.append(text(first - 10, at, PEERS[peer].title, "end own" if peer == "gateway" else "end"))
        if not summary.kept_up:
            drawn.append(text(WIDTH - MARGIN, at, failure(summary), "end bad"))
    drawn += column(first, top, width, by_peer, "cpu_us", "CPU for a delivery, µs", False)
    drawn += column(
        first + width + VALUE_WIDTH / 2 + GAP, top, width, by_peer, "p99_ms", "latency, 99th percentile, ms (logarithmic)", True
    )
    return drawn, PANEL_HEAD + ROW * len(by_peer) + PANEL_FOOT


def render(results):
    """The whole picture."""
    y, drawn = 64, []
    for shape, by_peer in summaries(results).items():
        lines, height = panel(y, shape, by_peer)
        drawn += lines
        y += height + 14
    rounds = results["settings"]["rounds"]
    told = "one round of" if rounds == 1 else f"medians of {rounds} rounds, thin lines their range:"
    head = [
        text(MARGIN, 30, "One core each: what a delivery costs, and how late it is", "title"),
        text(MARGIN, 50, f"{told} the same loads on the same core; dashed and pale: did not keep up; »: beyond the axis", "quiet"),
    ]
    body = "\n".join(head + drawn)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" role="img">\n'
        f"<title>CPU for a delivery and latency of Roomcast and other servers</title>\n<style>{STYLE}</style>\n"
        f'<rect width="{WIDTH}" height="{y}" class="ground"/>\n{body}\n</svg>\n'
    )
