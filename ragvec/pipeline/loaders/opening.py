"""Opening whatever file there is: one document, or the documents of all that it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ragvec.errors import DocumentError, RagvecError
from ragvec.limits import FileLimits
from ragvec.pipeline.documents import Document, Failure
from ragvec.pipeline.loaders.archive import load_zip
from ragvec.pipeline.loaders.code import CODE
from ragvec.pipeline.loaders.columns import load_parquet
from ragvec.pipeline.loaders.formats import SUFFIXES, file_type, read_file
from ragvec.pipeline.loaders.json_file import load_json
from ragvec.pipeline.loaders.mail import load_eml, load_mbox
from ragvec.pipeline.loaders.place import Opener, Place
from ragvec.pipeline.loaders.records import load_jsonl
from ragvec.pipeline.loaders.source import Content, refused

__all__ = ["CONTAINERS", "LINES", "FileOpener", "check_suffix"]


def _lines(content: Content, place: Place, opener: Opener) -> Iterator[Document | Failure]:
    return load_jsonl(content, source=place.id, uri=place.uri, limits=opener.limits)


LINES = (".jsonl", ".ndjson")
"""The suffixes of files in lines: read as they come, however large they are."""

_CONTAINERS: dict[str, Callable[[Content, Place, Opener], Iterator[Document | Failure]]] = {
    ".zip": load_zip,
    ".eml": load_eml,
    ".mbox": load_mbox,
    ".json": load_json,
    ".parquet": load_parquet,
    **dict.fromkeys(LINES, _lines),
}

CONTAINERS = tuple(_CONTAINERS)
"""The suffixes of files that may hold any number of documents."""

_OLD = {
    ".doc": ".docx",
    ".dot": ".docx",
    ".xls": ".xlsx",
    ".ppt": ".pptx",
    ".pps": ".pptx",
    ".odt": ".docx",
    ".ods": ".xlsx",
    ".odp": ".pptx",
    ".msg": ".eml",
    ".pages": ".docx or .pdf",
    ".numbers": ".xlsx",
    ".key": ".pptx or .pdf",
    ".mobi": ".epub",
    ".azw3": ".epub",
}
"""Formats that are not read, and as what to save such a file."""


def check_suffix(suffix: str) -> None:
    """See that files of this suffix can be read.

    Raises:
        DocumentError: they cannot; where there is a way out, it is named.
    """
    if suffix in SUFFIXES or suffix in _CONTAINERS:
        return
    if suffix in _OLD:
        better = _OLD[suffix]
        how = f", as `soffice --convert-to {better[1:]}` does" if better in (".docx", ".xlsx", ".pptx") else ""
        raise DocumentError(f"Expected a file that can be read, got {suffix}: save it as {better}{how}")
    raise DocumentError(
        "Expected a file type that is read, such as .txt .md .html .pdf .docx .pptx .xlsx .csv .json .epub .eml .zip "
        f"or source code (ragvec.pipeline.load.FILE_TYPES has all), got {suffix or 'a name without suffix'}"
    )


class FileOpener:
    """Opens one file, and what is in it, within `limits`."""

    def __init__(self, limits: FileLimits) -> None:
        self.limits = limits
        self._unpacked = 0
        self._depth = 0

    def open(self, content: Content, place: Place, suffix: str) -> Iterator[Document | Failure]:
        """The documents of a file, one where it is no container.

        Raises:
            DocumentError: it cannot be read as what its suffix says, or passes a limit. MissingExtra: a library is
                missing. OSError: it cannot be opened.
        """
        check_suffix(suffix)
        if suffix not in _CONTAINERS:
            yield self._document(content, place, suffix)
            return
        if self._depth >= self.limits.depth:
            got = f"one in {self._depth} others"
            raise refused("depth", most=self.limits.depth, got=got, unit="archives or letters in each other")
        self._depth += 1
        try:
            yield from _CONTAINERS[suffix](content, place, self)
        finally:
            self._depth -= 1

    def member(self, raw: bytes, place: Place, *, suffix: str | None = None) -> Iterator[Document | Failure]:
        """As `Opener` says."""
        known = place.suffix if suffix is None else suffix
        try:
            yield from self.open(raw, place, known)
        except RagvecError as error:
            yield Failure(place.id, error.message, "" if known in _CONTAINERS else place.id)
        except (MemoryError, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever a parser stumbles over, it is the file that made it
            reason = f"Expected a file that can be read, got one that breaks its reader: {error!r:.200}"
            yield Failure(place.id, reason, "" if known in _CONTAINERS else place.id)

    def unpacks(self, count: int) -> None:
        """As `Opener` says."""
        self._unpacked += count
        if self._unpacked > self.limits.unpacked_bytes:
            most, got = self.limits.unpacked_bytes, f"{self._unpacked:,}"
            raise refused("unpacked_bytes", most=most, got=got, unit="bytes in an archive and those in it")

    def _document(self, content: Content, place: Place, suffix: str) -> Document:
        extract = read_file(content, suffix, limits=self.limits)
        return Document(
            id=place.id,
            text=extract.text,
            title=extract.title or (place.name if suffix in CODE else place.stem),
            uri=place.uri,
            file_type=file_type(suffix),
            attributes=extract.attributes,
            blocks=extract.blocks,
            pages=extract.pages,
            notes=extract.notes,
        )
