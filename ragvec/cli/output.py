"""What a command prints: one JSON document for programs, or text and tables for people.

Standard output holds the answer and nothing else; notes and progress go to standard error.
"""

from __future__ import annotations

import functools
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "Output",
    "beginning",
    "bytes_text",
    "clean",
    "json_text",
    "metadata_text",
    "number_text",
    "table",
    "visible",
]

T = TypeVar("T")

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_LATE_CONTROLS = re.compile(r"[\x7f-\x9f\u2028\u2029]")
_SPACES = re.compile(r"\s+")
_VALUE = 60
_CELL = 240


class Output:
    """Where a command puts its answer. `json`: as one JSON document instead of text; `quiet`: without progress."""

    def __init__(self, *, json: bool = False, quiet: bool = False) -> None:
        self.json = json
        self.quiet = quiet

    @functools.cached_property
    def console(self) -> Console:
        """Standard output in rich's hands, which detects colour and width, and obeys NO_COLOR."""
        return _new_console()

    def show(self, document: object, view: Callable[[Console], object]) -> None:
        """Print `document` as JSON, or let `view` draw it."""
        if self.json:
            sys.stdout.write(json_text(document, ascii_only=not _is_unicode(sys.stdout)) + "\n")
        else:
            view(self.console)

    def tell(self, document: object, text: str) -> None:
        """Print `document` as JSON, or else one line of text, whole however long it is."""
        self.show(document, lambda console: console.print(visible(text), soft_wrap=True))

    def note(self, text: str) -> None:
        """Print a line for people on standard error."""
        print(visible(text), file=sys.stderr, flush=True)  # noqa: T201

    def progress(
        self, items: Iterable[T], *, label: str, total: int | None = None, unit: str = "vector"
    ) -> Iterable[T]:
        """`items`, counted by a progress bar on standard error when that is a terminal."""
        from tqdm.auto import tqdm

        bar: Iterable[T] = tqdm(
            items,
            desc=label,
            total=total,
            unit=f" {unit}s",
            file=sys.stderr,
            disable=True if self.quiet else None,
            leave=False,
        )
        return bar


def _new_console() -> Console:
    """A rich console on standard output that takes texts as they are, and leaves closed pipes to the caller."""
    from rich.console import Console

    class QuietConsole(Console):
        def on_broken_pipe(self) -> None:
            raise  # the error that rich is handling when it calls this

    if hasattr(sys.stdout, "reconfigure") and not _is_unicode(sys.stdout):
        sys.stdout.reconfigure(errors="backslashreplace")
    return QuietConsole(highlight=False, markup=False, emoji=False)


def json_text(value: object, *, ascii_only: bool = False) -> str:
    """Compact JSON of builtins, msgspec structs, datetimes (ISO 8601) and numpy values (arrays as lists)."""
    import msgspec

    plain = msgspec.to_builtins(value, enc_hook=_encodable)
    text = json.dumps(plain, ensure_ascii=ascii_only, separators=(",", ":"), allow_nan=False)
    # JSON lets these stand as they are, and a terminal takes some of them for commands.
    return _LATE_CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def visible(text: str) -> str:
    """`text` with control characters but line feeds replaced: a document cannot send commands to the terminal."""
    return "\n".join(_CONTROLS.sub("�", line) for line in text.split("\n"))


def clean(text: str) -> str:
    """`text` on one line, as `visible` has it."""
    return visible(_SPACES.sub(" ", text)).strip()


def metadata_text(metadata: Mapping[str, Any]) -> str:
    """Metadata for a table cell: JSON on one line, long texts and the whole shortened to their beginnings."""
    shown = {name: beginning(value, _VALUE) if isinstance(value, str) else value for name, value in metadata.items()}
    return beginning(json.dumps(shown, ensure_ascii=False), _CELL) if shown else ""


def beginning(text: str, most: int) -> str:
    """The first `most` characters of `text` on one line, the last of them `…` where some are left out."""
    start = clean(text[: 2 * most])
    return start if len(start) <= most and len(text) <= 2 * most else start[: most - 1] + "…"


def number_text(number: int, of: str = "") -> str:
    """A count with thousands separators; `of` names what is counted, in the singular."""
    if not of:
        return f"{number:,}"
    plural = f"{of}es" if of.endswith("x") else f"{of}s"
    return f"{number:,} {of if number == 1 else plural}"


def bytes_text(size: float) -> str:
    """A size for people, in units of 1024 bytes."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def table(
    console: Console,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    empty: str,
    right: Sequence[str] = (),
) -> None:
    """Print a table, or `empty` when it has no rows. `right` names the columns that are aligned right.

    Cells are texts, taken as they are, or rich renderables. Long cells wrap and are never cut.
    """
    from rich import box
    from rich.table import Table

    drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for name in columns:
        drawn.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*map(_cell, row))
    if drawn.row_count:
        console.print(drawn)
    else:
        console.print(empty)


def _cell(value: object) -> Any:
    from rich.text import Text

    return Text(clean(value)) if isinstance(value, str) else value


def _encodable(value: object) -> object:
    import numpy as np

    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"not a value for JSON: {value!r}")


def _is_unicode(stream: Any) -> bool:
    return (getattr(stream, "encoding", None) or "").lower().replace("-", "").startswith("utf")
