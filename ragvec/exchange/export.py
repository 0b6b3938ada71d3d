"""Exporting an index to a file: one consistent state of it, while others write."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, Literal, cast

import msgspec
import numpy as np

from ragvec.engine.local.as_of import AsOf, AsOfPage
from ragvec.engine.local.index import LocalIndex
from ragvec.errors import Corrupted, DocumentError, InvalidRequest
from ragvec.exchange.jsonl import write_jsonl
from ragvec.exchange.model import FileFormat, Header, Progress, format_of
from ragvec.exchange.parquet import write_parquet

if TYPE_CHECKING:
    from ragvec.store import Index

__all__ = ["Export", "export_index"]


class Export(msgspec.Struct, frozen=True):
    """What was exported: `records` as of change `sequence` (None where the engine does not count changes), without the
    `damaged` keys."""

    path: str
    format: FileFormat
    records: int
    sequence: int | None
    damaged: tuple[str, ...] = ()


def export_index(
    index: Index,
    path: str | Path | BinaryIO,
    *,
    format: str | None = None,  # noqa: A002 - the word people look for
    columns: bool = False,
    damaged: Literal["raise", "skip"] = "raise",
    progress: Progress | None = None,
) -> Export:
    """Write all records of an index, as of this moment, to a file in byte order of key; memory is needed for some
    thousand of them.

    The format goes by the name (`.jsonl`, `.jsonl.gz`, `.parquet`) unless it is given. With `columns` a Parquet file
    has a column for every metadata key whose values are of one type. The file gets its name when it is whole. A stream
    is written to as it is, without compression.

    Raises:
        DocumentError: the file cannot be written. Corrupted: a record does not match its checksum; with
        damaged="skip" it is left out and told. MissingExtra: Parquet needs pyarrow.
    """
    streamed = not isinstance(path, (str, Path))
    kind = format_of("" if streamed else cast("str | Path", path), format)
    if columns and kind != "parquet":
        raise InvalidRequest("Expected `columns` with Parquet only", path="columns")
    if damaged not in ("raise", "skip"):
        raise InvalidRequest(f"Expected damaged='raise' or 'skip', got {damaged!r}", path="damaged")
    header = Header.of(index)
    skipped: dict[str, None] = {}
    name = "the stream" if streamed else str(path)
    try:
        with ExitStack() as stack:
            source = _source(index, stack)

            def pages() -> Iterator[AsOfPage]:
                for page in source.pages():
                    yield _whole(page, index, damaged=damaged, skipped=skipped)

            def told() -> Iterator[AsOfPage]:
                for page in pages():
                    yield page
                    if progress is not None:
                        progress(len(page.keys))

            sink = cast("BinaryIO", path) if streamed else stack.enter_context(_writing(cast("str | Path", path)))
            if kind == "jsonl":
                records = write_jsonl(sink, header, told())
            else:
                records = write_parquet(sink, header, told(), survey=pages if columns else None)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise DocumentError(f"cannot write {name}: {error.strerror or error}", source=name) from error
    return Export(path=name, format=kind, records=records, sequence=source.sequence, damaged=tuple(skipped))


class _Scan:
    """The records of an engine that has no states to go back to."""

    sequence = None

    def __init__(self, index: Index) -> None:
        self._index = index

    def pages(self) -> Iterator[AsOfPage]:
        engine, after = self._index.bucket.store.engine.index(self._index.spec), None
        while True:
            page = engine.scan(after=after, limit=1000, data=True, metadata=True)
            if page.records:
                yield AsOfPage(
                    [record.key for record in page.records],
                    np.stack([cast("np.ndarray[tuple[int], np.dtype[np.float32]]", r.data) for r in page.records]),
                    [msgspec.json.encode(record.metadata or {}) for record in page.records],
                    [],
                )
            if page.next_after is None:
                return
            after = page.next_after


def _source(index: Index, stack: ExitStack) -> AsOf | _Scan:
    engine = index.bucket.store.engine.index(index.spec)
    return stack.enter_context(AsOf(engine)) if isinstance(engine, LocalIndex) else _Scan(index)


def _whole(page: AsOfPage, index: Index, *, damaged: str, skipped: dict[str, None]) -> AsOfPage:
    """The page without what is damaged. Raises Corrupted where that is not to be skipped."""
    if not page.damaged:
        return page
    keys = [page.keys[at] for at in page.damaged]
    if damaged == "raise":
        raise Corrupted(
            f"The record with key {keys[0]!r} of index {index.bucket.name}/{index.name} does not match its checksum; "
            "damaged='skip' exports all others, `ragvec repair` removes it"
        )
    skipped.update(dict.fromkeys(keys))
    bad = set(page.damaged)
    good = [at for at in range(len(page.keys)) if at not in bad]
    return AsOfPage([page.keys[at] for at in good], page.vectors[good], [page.metadata[at] for at in good], [])


@contextmanager
def _writing(path: str | Path) -> Iterator[IO[bytes]]:
    """A file that gets its name only when it is whole; gzip without date, so that equal records give equal bytes."""
    final = Path(path)
    part = final.with_name(final.name + ".part")
    with ExitStack() as undo:
        undo.callback(part.unlink, missing_ok=True)
        with part.open("wb") as raw, ExitStack() as packing:
            if final.suffix == ".gz":
                packer = gzip.GzipFile("", "wb", 6, raw, mtime=0)
                yield cast("IO[bytes]", packing.enter_context(packer))
            else:
                yield raw
            packing.close()
            raw.flush()
            os.fsync(raw.fileno())
        part.replace(final)
