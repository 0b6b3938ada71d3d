"""Docstrings are written as Markdown reads best in an editor; Sphinx reads reStructuredText."""

from __future__ import annotations

import builtins
import re
from collections.abc import Iterator, Sequence
from typing import Any

from ragvec import errors

__all__ = ["restructured", "setup"]

CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
ITEM = re.compile(r"^([-*·]|\d+\.) ")
BUILT_IN = [name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, Exception)]
ERROR = "(?:" + "|".join(sorted([*errors.__all__, *BUILT_IN, "SystemExit"], key=len, reverse=True)) + ")"
# What `Raises:` says is prose: "InvalidKey, InvalidVector: the record is named. MissingExtra: a library is not there."
RAISED = re.compile(rf"(?:^|(?<=[.;] ))(?P<names>{ERROR}(?:(?:, | or ){ERROR})*)(?P<end>: |\.(?: |$))")


def restructured(lines: Sequence[str]) -> list[str]:
    """`lines` of a docstring without their common indentation, as reStructuredText.

    A block that is indented below a blank line is literal, unless it belongs to an item of a list; `Raises:` becomes a
    list of errors; `code` gets a second pair of backticks, and what reStructuredText would take for markup is escaped.
    """
    made: list[str] = []
    literal = held = False
    rest = iter([*lines, ""])
    for line in rest:
        if line == "Raises:":
            made += [*_raised(rest), ""]
            continue
        if not line.strip():
            made.append("")
            continue
        if not line.startswith(" "):
            literal, held = False, bool(ITEM.match(line))
        elif not literal and not held and made and not made[-1]:
            made += ["::", ""]
            literal = True
        made.append(line if literal else _inline(line))
    return made


def _raised(lines: Iterator[str]) -> Iterator[str]:
    """The list that a section `Raises:` becomes; takes its lines from `lines`, with the blank one after them."""
    section: list[str] = []
    for line in lines:
        if not line.strip():
            break
        section.append(line.strip())
    text = " ".join(section)
    found = list(RAISED.finditer(text))
    yield from ("**Raises**", "")
    if not found or found[0].start():
        yield from (_inline(text[: found[0].start()] if found else text), "")
    for entry, following in zip(found, [*found[1:], None], strict=True):
        names = re.sub(ERROR, _linked, entry["names"])
        said = text[entry.end() : following.start() if following else None].strip()
        yield f"- {names}{': ' if said else ''}{_inline(said)}"


def _linked(name: re.Match[str]) -> str:
    """A link to an error of ragvec; those of Python are on no page here."""
    return f":py:exc:`~ragvec.errors.{name[0]}`" if name[0] in errors.__all__ else f"``{name[0]}``"


def _inline(line: str) -> str:
    """`line` with Markdown's code marked as such, and with the signs of other markup escaped."""
    parts = CODE.split(line)
    for at in range(0, len(parts), 2):
        parts[at] = re.sub(r"(\*|\||(?<=\w)_(?!\w))", r"\\\1", parts[at])
    for at in range(1, len(parts), 2):
        parts[at] = f"``{parts[at].strip()}``"
        # Inline markup ends only before a space or a sign: "`key`s" needs the separator that prints nothing.
        if parts[at + 1][:1].isalnum():
            parts[at] += "\\ "
    return "".join(parts)


def _convert(*event: Any) -> None:
    """Answer autodoc-process-docstring, whose last value is the list of lines."""
    lines = event[-1]
    lines[:] = restructured(lines)


def setup(app: Any) -> dict[str, bool]:
    """Convert every docstring."""
    app.connect("autodoc-process-docstring", _convert)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
