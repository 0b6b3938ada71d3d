"""JSON files: records, each a document, or one document of all that stands in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from ragvec.errors import DocumentError
from ragvec.pipeline.documents import Document, Failure
from ragvec.pipeline.encodings import decode
from ragvec.pipeline.loaders.builder import TextBuilder
from ragvec.pipeline.loaders.place import Opener, Place
from ragvec.pipeline.loaders.records import TEXT_FIELDS, from_mapping, record_id
from ragvec.pipeline.loaders.source import Content, source_bytes

__all__ = ["load_json"]

_LISTS = ("documents", "records", "items", "data", "rows", "entries", "results")


def load_json(content: Content, place: Place, opener: Opener) -> Iterator[Document | Failure]:
    """The documents of a JSON file.

    A list of objects with a text field (`text`, `page_content` or `content`) is a document an object, as in jsonl, and
    so is such a list under `documents`, `records`, `items`, `data`, `rows`, `entries` or `results`; one object with a
    text field is that document. Anything else is one document, a line a value: "address > city: Porto".

    Raises:
        DocumentError: it is no JSON, is nested too deep, or passes a limit.
    """
    text, note = decode(source_bytes(content, opener.limits))
    notes = (note,) if note else ()
    try:
        value = msgspec.json.decode(text.encode("utf-8", "surrogatepass"))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DocumentError(f"Expected a JSON file: {error!s:.300}") from error
    except RecursionError as error:
        raise DocumentError("Expected a JSON file, got one that is nested too deep") from error
    records = _records(value)
    if records is None:
        builder = TextBuilder(opener.limits)
        _add(builder, value)
        title = value.get("title") if isinstance(value, dict) else None
        extract = builder.extract(title=title if isinstance(title, str) else "")
        yield Document(
            id=place.id,
            text=extract.text,
            title=extract.title or place.stem,
            uri=place.uri,
            file_type="json",
            blocks=extract.blocks,
            notes=notes,
        )
        return
    for number, record in enumerate(records, start=1):
        own = place.id if isinstance(value, dict) and len(records) == 1 and records[0] is value else ""
        default = own or f"{place.id}:{number}"
        try:
            if not isinstance(record, dict):
                raise DocumentError(f"Expected an object among the records, got {_kind(record)}")
            yield from_mapping(record, default_id=default, file_type="json", uri=place.uri, notes=notes)
        except DocumentError as error:
            named = record_id(record, default) if isinstance(record, dict) else default
            yield Failure(f"{place.id}:{number}", error.message, named)


def _records(value: Any) -> list[Any] | None:
    """The records in a JSON value; None where it is one document."""
    if isinstance(value, list):
        return value if any(_has_text(item) for item in value) else None
    if isinstance(value, dict):
        if _has_text(value):
            return [value]
        lists = [value[name] for name in _LISTS if isinstance(value.get(name), list)]
        found = [rows for rows in lists if any(_has_text(item) for item in rows)]
        return found[0] if len(found) == 1 else None
    return None


def _has_text(value: Any) -> bool:
    return isinstance(value, dict) and any(isinstance(value.get(name), str) for name in TEXT_FIELDS)


def _add(builder: TextBuilder, value: Any) -> None:
    """Add a line for each value, with the names that lead to it; an object without others in it is one line."""
    # Not by recursion: a file may be nested as deep as the decoder goes.
    waiting: list[tuple[str, Any]] = [("", value)]
    while waiting:
        path, here = waiting.pop()
        if isinstance(here, dict) and not (path and _is_flat(here)):
            waiting.extend((f"{path} > {name}" if path else str(name), below) for name, below in reversed(here.items()))
        elif isinstance(here, dict):
            builder.add(_line(path, "; ".join(f"{name}: {_words(each)}" for name, each in here.items())), "row")
        elif isinstance(here, list) and not all(_is_plain(each) for each in here):
            waiting.extend((path, each) for each in reversed(here))
        elif isinstance(here, list):
            builder.add(_line(path, ", ".join(_words(each) for each in here)), "row")
        else:
            builder.add(_line(path, _words(here)), "row")


def _is_flat(record: dict[str, Any]) -> bool:
    return all(_is_plain(value) and len(_words(value)) <= 200 for value in record.values())


def _is_plain(value: Any) -> bool:
    return not isinstance(value, (dict, list))


def _words(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _line(path: str, words: str) -> str:
    return f"{path}: {words}" if path and words else words


def _kind(value: Any) -> str:
    return {list: "a list", str: "text", bool: "a boolean", type(None): "null"}.get(type(value), "a number")
