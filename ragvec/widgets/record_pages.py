"""The records of an index, a page at a time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import ipywidgets

from ragvec.api.arguments import to_filter
from ragvec.errors import InvalidRequest, RagvecError
from ragvec.kendra.markup import value_text
from ragvec.pipeline.passages import TEXT
from ragvec.widgets.tables import html_error, html_said, html_table

if TYPE_CHECKING:
    from ragvec.store import Index
    from ragvec.types import Record

__all__ = ["RecordPages", "read_where"]

_SHOWN = 160


def read_where(text: str) -> dict[str, Any]:
    """The filter that is written as JSON; none is `{}`.

    Raises:
        InvalidRequest: it is no JSON object.
    """
    if not text.strip():
        return {}
    try:
        where = json.loads(text)
    except ValueError as error:
        raise InvalidRequest(f"Expected a filter as JSON, got {text!r}: {error}", path="where") from None
    if not isinstance(where, dict):
        raise InvalidRequest(f"Expected a filter as a JSON object, got {text!r}", path="where")
    return where


class RecordPages(ipywidgets.VBox):  # type: ignore[misc]
    """A table of records in order of key, `page_size` at a time, of those that a filter lets through or of some keys.

    `records` are those shown.
    """

    def __init__(self, *, page_size: int = 20) -> None:
        self.index: Index | None = None
        self.records: list[Record] = []
        self.page_size = page_size
        self._keys: tuple[str, ...] | None = None
        self._starts: list[str | None] = [None]
        self._next: str | None = None
        self.where = ipywidgets.Text(
            description="Filter",
            placeholder='{"department": "Sales"}',
            continuous_update=False,
            layout={"width": "32em"},
        )
        self.previous = ipywidgets.Button(description="← Previous")
        self.following = ipywidgets.Button(description="Next →")
        self.every = ipywidgets.Button(description="Show all records", layout={"width": "auto"})
        self.told, self.table = ipywidgets.HTML(), ipywidgets.HTML()
        super().__init__(
            [self.where, self.told, self.table, ipywidgets.HBox([self.previous, self.following, self.every])]
        )
        self.where.observe(lambda _: self.show(self.index), "value")
        self.previous.on_click(lambda _: self._turn(-1))
        self.following.on_click(lambda _: self._turn(1))
        self.every.on_click(lambda _: self.show(self.index))

    def show(self, index: Index | None, *, keys: Sequence[str] | None = None) -> None:
        """Show the first page of an index, or of those of its records that have these keys."""
        self.index = index
        self._keys = None if keys is None else tuple(keys)
        self._starts = [None]
        self._read()

    def _turn(self, by: int) -> None:
        if by > 0 and self._next is not None:
            self._starts.append(self._next)
        elif by < 0 and len(self._starts) > 1:
            self._starts.pop()
        self._read()

    def _read(self) -> None:
        try:
            self.records, self._next, total = self._page()
        except RagvecError as error:
            self.told.value = html_error(str(error))
            return
        first = (len(self._starts) - 1) * self.page_size + 1
        of = "chosen records" if self._keys is not None else "records"
        shown = f"{first:,} to {first + len(self.records) - 1:,} of " if self.records else ""
        self.told.value = html_said(f"{shown}{total:,} {of}")
        self.table.value = html_table(("key", "text", "metadata"), list(map(_row, self.records)), caption="Records")
        self.previous.disabled, self.following.disabled = len(self._starts) == 1, self._next is None
        self.every.disabled = self._keys is None

    def _page(self) -> tuple[list[Record], str | None, int]:
        if self.index is None:
            return [], None, 0
        after = self._starts[-1]
        if self._keys is not None:
            first = int(after or 0)
            some = self._keys[first : first + self.page_size]
            more = first + self.page_size
            records = self.index.get(some, data=False) if some else []
            return records, str(more) if more < len(self._keys) else None, len(self._keys)
        spec = self.index.spec
        where = to_filter(read_where(self.where.value), spec)
        engine = self.index.bucket.store.engine.index(spec)
        page = engine.scan(after=after, limit=self.page_size, where=where, metadata=True)
        return list(page.records), page.next_after, self.index.count(where)


def _row(record: Record) -> tuple[str, str, str]:
    """The key, the beginning of the text where there is one, and the other metadata, an index's own first."""
    metadata = dict(record.metadata or {})
    text = " ".join(str(metadata.pop(TEXT, "")).split())
    names = sorted(metadata, key=lambda name: name.startswith("_"))
    said = " · ".join(f"{name}: {value_text(metadata[name])}" for name in names)
    return record.key, _cut(text), _cut(said)


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
