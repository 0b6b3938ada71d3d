"""Loading: files, folders, records and documents of other libraries, as a stream of documents and failures."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from ragvec.errors import DocumentError, RagvecError
from ragvec.pipeline.attributes import named
from ragvec.pipeline.documents import Document, Failure
from ragvec.pipeline.loaders.builder import Extract
from ragvec.pipeline.loaders.csv_table import load_csv
from ragvec.pipeline.loaders.markdown import load_markdown
from ragvec.pipeline.loaders.pdf import load_pdf
from ragvec.pipeline.loaders.plain import load_text
from ragvec.pipeline.loaders.records import (
    from_frame,
    from_langchain,
    from_mapping,
    is_frame,
    is_langchain,
    load_jsonl,
)
from ragvec.pipeline.loaders.webpage import load_html
from ragvec.pipeline.loaders.word import load_docx
from ragvec.pipeline.passages import DOCUMENT_TITLE, FILE_TYPE, SOURCE_URI
from ragvec.pipeline.sidecar import AttributeSource, Sidecar

__all__ = ["FILE_TYPES", "Source", "expected_documents", "load"]

Source: TypeAlias = "str | os.PathLike[str] | Document | Iterable[Any]"
"""A path, a DataFrame, a document, or an iterable of documents (ours or LangChain's) or mappings."""

_LOADERS: dict[str, tuple[str, Callable[[Path], Extract]]] = {
    ".txt": ("txt", load_text),
    ".text": ("txt", load_text),
    ".md": ("md", load_markdown),
    ".markdown": ("md", load_markdown),
    ".html": ("html", load_html),
    ".htm": ("html", load_html),
    ".xhtml": ("html", load_html),
    ".pdf": ("pdf", load_pdf),
    ".docx": ("docx", load_docx),
    ".csv": ("csv", load_csv),
    ".tsv": ("csv", load_csv),
}
_JSONL = (".jsonl", ".ndjson")
_BEIR = "corpus.jsonl"

FILE_TYPES = (*_LOADERS, *_JSONL)
"""The suffixes of files that can be loaded."""


def load(
    source: Source, *, attributes: AttributeSource | None = None, glob: str = "**/*"
) -> Iterator[Document | Failure]:
    """The documents of `source`, in a fixed order, and a failure for whatever did not become one.

    A folder gives its files that match `glob`, in order of path, hidden ones left out; the id of a file is its path
    below the folder, with `/`. A folder that holds `corpus.jsonl` is a BEIR collection, and that file is its documents.
    A DataFrame has columns `text` and, as far as there are, `id` and `title`; its other columns are attributes.

    `attributes` adds to what a document says of itself, and wins. In a jsonl file each line has an `id`, or a `path`
    relative to that file's folder, or both, in which case the id becomes that of the document.

    Raises:
        DocumentError: `source` or the attributes file does not exist or is of no kind that can be loaded.
    """
    sidecar = Sidecar(attributes)
    return _checked(_documents(source, glob, sidecar), sidecar)


def expected_documents(source: Source, *, glob: str = "**/*") -> int | None:
    """How many documents `source` will give as far as that is known without reading it, else None."""
    if isinstance(source, (str, os.PathLike)):
        files = _files(Path(source), glob)
        return None if any(path.suffix.lower() in _JSONL for path, _ in files) else len(files)
    return len(source) if isinstance(source, Sized) else None


def _documents(source: Source, glob: str, sidecar: Sidecar) -> Iterator[Document | Failure]:
    if isinstance(source, (str, os.PathLike)):
        files = [(path, name) for path, name in _files(Path(source), glob) if path.resolve() != sidecar.file]
        return _from_files(files, sidecar)
    if isinstance(source, Document):
        return iter([source])
    if is_frame(source):
        return from_frame(source)
    if isinstance(source, Iterable) and not isinstance(source, (bytes, Mapping)):
        return _from_items(source)
    raise DocumentError(f"Expected a path, a DataFrame, or an iterable of documents, got {type(source).__name__}")


def _checked(found: Iterator[Document | Failure], sidecar: Sidecar) -> Iterator[Document | Failure]:
    """What was found with its attributes, without empty documents and without a second one of the same id."""
    seen: set[str] = set()
    for item in found:
        if isinstance(item, Failure):
            yield item
            continue
        try:
            document = _with_attributes(item, sidecar.of(item))
            _check(document, seen)
        except DocumentError as error:
            yield Failure(item.id, error.message, item.id)
        else:
            seen.add(document.id)
            yield document


def _check(document: Document, seen: set[str]) -> None:
    if not document.id:
        raise DocumentError("Expected an id, got an empty one")
    if document.id in seen:
        raise DocumentError(f"Expected a new id, got {document.id!r} again: an earlier document has it")
    if not document.text.strip():
        raise DocumentError("Expected text, got an empty document")
    try:
        f"{document.id}{document.title}{document.text}".encode()
    except UnicodeEncodeError as error:
        raise DocumentError(f"Expected valid text, got a lone surrogate at character {error.start}") from error


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


def _files(source: Path, glob: str) -> list[tuple[Path, str]]:
    """The files to load and their names below the folder."""
    if source.is_file():
        return [(source, source.name)]
    if not source.is_dir():
        raise DocumentError(
            f"Expected a file or a folder, got a path where there is none: {source}", source=str(source)
        )
    if (source / _BEIR).is_file() and glob == "**/*":
        return [(source / _BEIR, _BEIR)]
    found = []
    for path in source.glob(glob):
        below = path.relative_to(source)
        if path.is_file() and not any(part.startswith((".", "~$")) for part in below.parts):
            found.append((path, os.fsencode(below.as_posix()).decode("utf-8", "replace")))
    return sorted(found, key=lambda pair: pair[1])


def _from_files(files: list[tuple[Path, str]], sidecar: Sidecar) -> Iterator[Document | Failure]:
    for path, name in files:
        document_id = sidecar.name(path, default=name)
        suffix = path.suffix.lower()
        try:
            if suffix in _JSONL:
                document_id = ""
                yield from load_jsonl(path, source=name)
            elif suffix in _LOADERS:
                yield _from_file(path, document_id)
            else:
                raise DocumentError(
                    f"Expected one of the file types {' '.join(FILE_TYPES)}, got {suffix or 'a name without suffix'}"
                )
        except RagvecError as error:
            yield Failure(name, error.message, document_id)
        except OSError as error:
            yield Failure(name, f"Expected a file that can be read: {error.strerror or error}", document_id)


def _from_file(path: Path, document_id: str) -> Document:
    file_type, loader = _LOADERS[path.suffix.lower()]
    extract = loader(path)
    return Document(
        id=document_id,
        text=extract.text,
        title=extract.title or path.stem,
        uri=path.resolve().as_uri(),
        file_type=file_type,
        attributes=extract.attributes,
        blocks=extract.blocks,
        pages=extract.pages,
        notes=extract.notes,
    )
