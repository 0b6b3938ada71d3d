"""Loading: files, folders, records and documents of other libraries, as a stream of documents and failures."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sized
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import msgspec

from ragvec.errors import DocumentError, RagvecError
from ragvec.limits import FileLimits
from ragvec.pipeline.attributes import named
from ragvec.pipeline.documents import Document, Failure
from ragvec.pipeline.loaders.formats import SUFFIXES
from ragvec.pipeline.loaders.opening import CONTAINERS, LINES, check_suffix
from ragvec.pipeline.loaders.place import Place
from ragvec.pipeline.loaders.records import (
    from_frame,
    from_langchain,
    from_mapping,
    is_frame,
    is_langchain,
    load_jsonl,
)
from ragvec.pipeline.loaders.source import file_kind, refused
from ragvec.pipeline.passages import DOCUMENT_TITLE, FILE_TYPE, SOURCE_URI
from ragvec.pipeline.reading import Reader
from ragvec.pipeline.sidecar import AttributeSource, Sidecar
from ragvec.pipeline.urls import Urls

__all__ = ["FILE_TYPES", "Source", "expected_documents", "load"]

Source: TypeAlias = "str | os.PathLike[str] | Document | Urls | Iterable[Any]"
"""A path, a DataFrame, a document, `Urls`, a loader of LangChain, or an iterable of documents (ours or LangChain's) or
mappings."""

_BEIR = "corpus.jsonl"
_NAME = 200
"""The most characters of an id in a message."""

FILE_TYPES = (*SUFFIXES, *CONTAINERS)
"""The suffixes of files that can be loaded."""


def load(
    source: Source,
    *,
    attributes: AttributeSource | None = None,
    glob: str = "**/*",
    limits: FileLimits | None = None,
) -> Iterator[Document | Failure]:
    """The documents of `source`, in a fixed order, and a failure for whatever did not become one.

    A folder gives its files that match `glob`, in order of path, hidden ones left out; the id of a file is its path
    below the folder, with `/`. A folder that holds `corpus.jsonl` is a BEIR collection, and that file is its documents.
    Links to files are followed, those to folders are not; what cannot be read, or is no file, is a failure.
    An archive, a letter, a box of letters, JSON records and Parquet give any number of documents, whose ids are below
    that of the file: `box.zip/notes/a.txt`, `records.json:3`.
    A DataFrame has columns `text` and, as far as there are, `id` and `title`; its other columns are attributes.
    A loader of LangChain gives what its `lazy_load` does; pages of the web are fetched only where `source` is `Urls`.

    `attributes` adds to what a document says of itself, and wins. In a jsonl file each line has an `id`, or a `path`
    relative to that file's folder, or both, in which case the id becomes that of the document.

    `limits` (None: the defaults of FileLimits) are what a document may cost; one beyond them is a failure.

    Raises:
        DocumentError: `source` or the attributes file does not exist or is of no kind that can be loaded.
    """
    limits = limits or FileLimits()
    sidecar = Sidecar(attributes, limits)
    return _checked(_documents(source, glob, sidecar, limits), sidecar, limits)


def expected_documents(source: Source, *, glob: str = "**/*") -> int | None:
    """How many documents `source` will give as far as that is known without reading it, else None."""
    if isinstance(source, (str, os.PathLike)):
        files, _ = _files(_path(source), glob)
        return None if any(path.suffix.lower() in CONTAINERS for path, _ in files) else len(files)
    return len(source) if isinstance(source, Sized) else None


def _documents(source: Source, glob: str, sidecar: Sidecar, limits: FileLimits) -> Iterator[Document | Failure]:
    if isinstance(source, (str, os.PathLike)):
        found, closed = _files(_path(source), glob)
        files = [(path, name) for path, name in found if sidecar.file is None or _resolved(path) != sidecar.file]
        return chain(closed, _from_files(files, sidecar, limits))
    if isinstance(source, Document):
        return iter([source])
    if isinstance(source, Urls):
        return _from_urls(source, limits)
    if is_frame(source):
        return from_frame(source)
    if callable(getattr(source, "lazy_load", None)):
        return _from_items(source.lazy_load())  # type: ignore[union-attr]  # asked for just now
    if isinstance(source, Iterable) and not isinstance(source, (bytes, Mapping)):
        return _from_items(source)
    raise DocumentError(f"Expected a path, a DataFrame, or an iterable of documents, got {type(source).__name__}")


def _checked(found: Iterator[Document | Failure], sidecar: Sidecar, limits: FileLimits) -> Iterator[Document | Failure]:
    """What was found with its attributes, without empty documents and without a second one of the same id."""
    seen: set[str] = set()
    for item in found:
        if isinstance(item, Failure):
            yield item
            continue
        try:
            document = _with_attributes(item, sidecar.of(item))
            _check(document, seen, limits)
        except DocumentError as error:
            yield Failure(_short(item.id), error.message, item.id)
        else:
            seen.add(document.id)
            yield document


def _check(document: Document, seen: set[str], limits: FileLimits) -> None:
    if not document.id:
        raise DocumentError("Expected an id, got an empty one")
    if document.id in seen:
        raise DocumentError(f"Expected a new id, got {_short(document.id)!r} again: an earlier document has it")
    if not document.text.strip():
        raise DocumentError("Expected text, got an empty document")
    if len(document.text) > limits.characters:
        got = f"{len(document.text):,}"
        raise refused("characters", most=limits.characters, got=got, unit="characters in a document")
    try:
        f"{document.id}{document.title}{document.text}".encode()
        about = [document.id, document.title, document.uri, document.attributes, document.stored]
        carried = msgspec.json.encode(about, enc_hook=str)  # pandas has datetimes of its own
    except UnicodeEncodeError as error:
        raise DocumentError(f"Expected valid text, got a lone surrogate at character {error.start}") from error
    if len(carried) > limits.attribute_bytes:
        got = f"{len(carried):,}"
        raise refused("attribute_bytes", most=limits.attribute_bytes, got=got, unit="bytes of id, title and attributes")


def _short(name: str) -> str:
    return name if len(name) <= _NAME else f"{name[:_NAME]}…"


def _with_attributes(document: Document, raw: Mapping[str, Any]) -> Document:
    own, own_notes = named(document.attributes)
    given, given_notes = named(raw)
    merged = own | given
    return msgspec.structs.replace(
        document,
        title=str(merged.pop(DOCUMENT_TITLE, document.title)),
        uri=str(merged.pop(SOURCE_URI, document.uri)),
        file_type=str(merged.pop(FILE_TYPE, document.file_type)),
        attributes=merged,
        notes=(*document.notes, *own_notes, *given_notes),
    )


def _from_items(items: Iterable[Any]) -> Iterator[Document | Failure]:
    pieces: Counter[str] = Counter()
    for number, item in enumerate(items):
        place = f"item {number}"
        try:
            if isinstance(item, (Document, Failure)):
                yield item
            elif is_langchain(item):
                document, own = from_langchain(item)
                pieces[document.id] += 1
                # A splitter may give many pieces the same source, and nothing else to know them by.
                again = 0 if own else pieces[document.id] - 1
                yield msgspec.structs.replace(document, id=f"{document.id}#{again + 1}") if again else document
            elif isinstance(item, Mapping):
                yield from_mapping(item, default_id=str(number), file_type="txt")
            else:
                raise DocumentError(f"Expected a document or a mapping, got {type(item).__name__}")
        except DocumentError as error:
            yield Failure(place, error.message)


def _path(source: str | os.PathLike[str]) -> Path:
    if isinstance(source, str) and source.lower().startswith(("http://", "https://")):
        raise DocumentError(
            f"Expected a path, got a URL, which is fetched where that is asked for: Urls({source!r:.200})"
        )
    return Path(source)


def _files(source: Path, glob: str) -> tuple[list[tuple[Path, str]], list[Failure]]:
    """The files to load and their names below the folder, in order; and the folders in it that cannot be read."""
    if source.is_file():
        return [(source, _text(source.name))], []
    if not source.is_dir():
        raise DocumentError(
            f"Expected a file or a folder, got a path where there is none: {_text(str(source))}", source=str(source)
        )
    if (source / _BEIR).is_file() and glob == "**/*":
        return [(source / _BEIR, _BEIR)], []
    found = []
    for path in source.glob(glob):
        below = path.relative_to(source)
        if not any(part.startswith((".", "~$")) for part in below.parts) and not path.is_dir():
            found.append((path, _text(below.as_posix())))
    return sorted(found, key=lambda pair: pair[1]), _closed_folders(source)


def _closed_folders(source: Path) -> list[Failure]:
    """A failure for every folder that cannot be looked into, of which `Path.glob` says nothing."""
    closed: list[Failure] = []

    def note(error: OSError) -> None:
        name = _text(os.path.relpath(os.fsdecode(error.filename), source))
        if not any(part.startswith(".") for part in Path(name).parts):
            closed.append(Failure(name, f"Expected a folder that can be read: {error.strerror or error}"))

    for _ in os.walk(source, onerror=note):
        pass
    return closed


def _text(name: str) -> str:
    """The name of a file as text: bytes that are no UTF-8 as `\\xff`, so that two names stay two."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _resolved(path: Path) -> Path | None:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # links in a circle
        return None


def _from_files(files: list[tuple[Path, str]], sidecar: Sidecar, limits: FileLimits) -> Iterator[Document | Failure]:
    with Reader(limits) as reader:
        for path, name in files:
            document_id = name
            suffix = _text(path.suffix.lower())
            try:
                _check_kind(path)
                document_id = sidecar.name(path, default=name)
                check_suffix(suffix)
                place = Place(document_id, path.resolve().as_uri(), _text(path.name))
                if suffix in CONTAINERS:
                    # Which documents were in it is not known when it fails.
                    document_id = ""
                if suffix in LINES:
                    yield from load_jsonl(path, source=name, uri=place.uri, limits=limits)
                else:
                    yield from reader.documents(path, place, suffix)
            except RagvecError as error:
                yield Failure(name, error.message, document_id)
            except OSError as error:
                yield Failure(name, f"Expected a file that can be read: {error.strerror or error}", document_id)


def _from_urls(source: Urls, limits: FileLimits) -> Iterator[Document | Failure]:
    from ragvec.pipeline.web import fetch

    with Reader(limits) as reader:
        for url in source:
            document_id = url
            try:
                page = fetch(url, source, limits)
                place = Place(url, page.url, PurePosixPath(urlsplit(page.url).path).name or urlsplit(page.url).netloc)
                if page.suffix in CONTAINERS:
                    document_id = ""
                yield from reader.documents(page.raw, place, page.suffix)
            except RagvecError as error:
                yield Failure(url, error.message, document_id)


def _check_kind(path: Path) -> None:
    """Refuse what is no file. Raises OSError for a link that leads nowhere."""
    kind = file_kind(path.stat().st_mode)
    if kind:
        raise DocumentError(f"Expected a file, got {kind}")
