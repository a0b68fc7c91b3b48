"""Small pieces of HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence

from fosp.report.statistics import Estimate


def number(value: float) -> str:
    """About three significant digits, without an exponent where that is readable."""
    size = abs(value)
    if 0 < size < 5e-4:
        return f"{value:.1e}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}" if size >= 0.1 or value == 0 else f"{value:.3f}"


def interval(estimate: Estimate) -> str:
    """Mean with its interval, as table cell content."""
    if estimate.low is None or estimate.high is None:
        return number(estimate.mean)
    return f"{number(estimate.mean)} <small>[{number(estimate.low)}, {number(estimate.high)}]</small>"


def figure(content: str, caption: str) -> str:
    """A figure that scrolls sideways on narrow screens; `caption` is HTML."""
    return f'<figure><div class="scroll">{content}</div><figcaption>{caption}</figcaption></figure>'


def absent(text: str) -> str:
    """The one line that stands where there is nothing to show."""
    return f'<p class="absent">{html.escape(text)}</p>'


def table(head: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]], kind: str = "") -> str:
    """A table; `head` and cells are HTML, each row comes with its class ("" for none)."""
    top = "".join(f"<th>{title}</th>" for title in head)
    body = "".join(f"<tr{_class(mark)}>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>" for mark, cells in rows)
    return f'<div class="scroll"><table{_class(kind)}><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""
