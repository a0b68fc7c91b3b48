"""Chart style: colours that follow the page's theme, and figures as inline SVG.

Charts are drawn in stand-in colours, which `to_svg` exchanges for CSS variables: one picture is legible on a light and
on a dark page. One unit of figure size is one CSS pixel, so that text in charts has the size of text on the page.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, MUTED, RULE = "#010101", "#020202", "#030303"
ACCENT, WARN, NEUTRAL = "#040404", "#050505", "#060606"
_VARIABLES = {INK: "ink", MUTED: "muted", RULE: "rule", ACCENT: "accent", WARN: "warn", NEUTRAL: "neutral"}

_RC: Any = {
    "svg.fonttype": "none",
    "font.size": 12,
    "axes.labelsize": 12,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.facecolor": "none",
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "text.color": INK,
    "figure.facecolor": "none",
    "legend.frameon": False,
    "legend.fontsize": 12,
    "lines.linewidth": 1.8,
}


@contextmanager
def figure(width: float, height: float, *, arranged: bool = True) -> Iterator[Figure]:
    """An empty figure of `width` x `height` CSS pixels in the report's style.

    Its parts are `arranged` around their labels, which takes as long again as drawing them, or left where they are put.
    """
    with mpl.rc_context(_RC):
        yield Figure(figsize=(width / 72, height / 72), layout="constrained" if arranged else None)


def to_svg(chart: Figure, name: str, description: str) -> str:
    """`chart` as an inline ``<svg>``: themed colours, no metadata, ids unique to `name`, alternative text."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name, **_RC}):
        chart.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'\s(?:xmlns(?::\w+)?|version)="[^"]*"', "", svg)
    svg = re.sub(r'(?<=\bid=")|(?<=href="#)|(?<=url\(#)', f"{name}-", svg)
    svg = re.sub(r"<defs>\s*<style.*?</defs>", "", svg, flags=re.DOTALL)  # in a page it would style everything
    svg = re.sub(r"font: (?:(\d+) )?([\d.]+px) [^;\"]*", _font, svg)
    svg = re.sub(r"font-family: [^;\"]*;?", "", svg)
    svg = re.sub(r"<[^>]*>", _short_coordinates, svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var(--{variable})")
    width, height = (round(72 * size) for size in chart.get_size_inches())
    svg = re.sub(r'(<svg\b[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg\b[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    start = f'<svg class="chart" style="min-width:{min(width, 640)}px" width="{width}" height="{height}" role="img"'
    return svg.replace("<svg", f'{start} aria-label="{html.escape(description)}"', 1)


def _short_coordinates(tag: re.Match[str]) -> str:
    return re.sub(r"(\d\.\d\d)\d+", r"\1", tag[0])


def _font(found: re.Match[str]) -> str:
    return f"font-size: {found[2]}; font-weight: {found[1] or 400}"


def finish(axes: Axes, title: str, x: str, y: str) -> None:
    """Title, axis labels, and no vertical grid."""
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(visible=False, axis="x")
