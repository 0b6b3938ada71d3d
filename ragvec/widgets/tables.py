"""Tables and remarks as HTML in the colours of the theme. Every text is escaped here, and nowhere else needs to be."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["html_error", "html_said", "html_table"]

_CELL = "text-align:{};vertical-align:top;padding:0.2em 1em 0.2em 0;min-width:3em;overflow-wrap:break-word"


def html_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    right: Sequence[str] = (),
    caption: str = "",
    bars: Mapping[str, float] | None = None,
) -> str:
    """A table of texts and numbers, the columns `right` to the right. `bars` draws behind a column's numbers how large
    they are of a whole."""
    sides = ["right" if name in right else "left" for name in columns]
    head = "".join(
        f'<th scope="col" style="{_CELL.format(side)}">{html.escape(name)}</th>'
        for name, side in zip(columns, sides, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<td dir="auto" style="{_CELL.format(side)}">{_cell(value, (bars or {}).get(name))}</td>'
            for name, value, side in zip(columns, row, sides, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    named = f'<caption style="text-align:left;font-weight:600">{html.escape(caption)}</caption>' if caption else ""
    return (
        '<div style="overflow-x:auto" tabindex="0" role="region" aria-label="'
        f'{html.escape(caption or "Table", quote=True)}"><table style="border-collapse:collapse;line-height:1.4">'
        f"{named}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def html_said(text: str) -> str:
    """A remark that screen readers tell when it changes."""
    return f'<div role="status" style="line-height:1.4">{html.escape(text)}</div>'


def html_error(text: str) -> str:
    """What went wrong, or nothing for no text."""
    if not text:
        return ""
    style = "border-left:4px solid #d33a2c;padding:0.3em 0.8em;line-height:1.4;overflow-wrap:anywhere"
    return f'<div role="alert" style="{style}"><b>Error:</b> {html.escape(text)}</div>'


def _cell(value: Any, whole: float | None) -> str:
    text = html.escape(f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value))
    if not whole or not isinstance(value, (int, float)):
        return text
    share = max(0.0, min(1.0, value / whole))
    bar = "display:inline-block;height:0.7em;background:currentColor;opacity:0.45;margin-left:0.6em"
    return f'{text}<span aria-hidden="true" style="{bar};width:{6 * share:.2f}em"></span>'
