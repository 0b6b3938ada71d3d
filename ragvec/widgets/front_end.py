"""The files of the front ends, which nothing on the way to a notebook has to fetch."""

from __future__ import annotations

from pathlib import Path

__all__ = ["CSS", "module_of"]

_STATIC = Path(__file__).parent / "static"

CSS = _STATIC / "ragvec.css"
"""The styles of all widgets."""


def module_of(name: str) -> str:
    """The JavaScript module of a widget, with what all of them share."""
    return "".join((_STATIC / f"{part}.js").read_text(encoding="utf-8") for part in ("dom", name))
