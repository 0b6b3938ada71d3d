"""FAQs as an index keeps them: each FAQ a note, its rows in an index beside it.

The rows stand in an index `<name>.faq` of the same bucket, one vector a row: that of the question. It belongs to the
index by the id that its property names, is not listed among query indexes, and goes when the index goes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np

from ragvec.errors import IndexExists, IndexNotFound, ResourceNotFound
from ragvec.filters.nodes import EVERYTHING, Eq
from ragvec.kendra.notes import Notes
from ragvec.pipeline.embed import embed_texts
from ragvec.pipeline.passages import DOCUMENT_ID, LANGUAGE_CODE, SOURCE_URI
from ragvec.protocols import Embedder
from ragvec.store import Index

__all__ = [
    "ANSWER",
    "FAQ_ID",
    "OWNER_PROPERTY",
    "QUESTION",
    "Faq",
    "FaqRow",
    "count_rows",
    "delete_rows",
    "faq_of",
    "faqs_of",
    "put_rows",
    "questions_index",
    "set_faq",
]

OWNER_PROPERTY = "kendra.faqs_of"
"""Property of an index of FAQ rows: the id of the index that they belong to."""

QUESTION = "_question"
ANSWER = "_answer"
FAQ_ID = "_faq_id"

_NOTE = "faqs"
_LONGEST_NAME = 63
_BATCH = 512


class FaqRow(msgspec.Struct, frozen=True, kw_only=True):
    """A question and its answer. `attributes` are as they are stored, access lists among them."""

    question: str
    answer: str
    uri: str = ""
    attributes: dict[str, Any] = {}


class Faq(msgspec.Struct, frozen=True, kw_only=True):
    """The note of one FAQ; `rows` counts what it holds. It FAILED where its file was no such file: `error` says why.
    One that stays in CREATING was interrupted, and is to be deleted.
    """

    id: str
    name: str
    created: float
    updated: float
    status: Literal["CREATING", "ACTIVE", "FAILED"]
    rows: int = 0
    error: str = ""
    description: str = ""
    role: str = ""
    source: dict[str, str] = {}
    format: str = "CSV"
    language: str = "en"
    client_token: str = ""


def faqs_of(notes: Notes) -> dict[str, Faq]:
    """The FAQs of an index by id, oldest first."""
    found = notes.read(_NOTE, dict[str, Faq]) or {}
    return dict(sorted(found.items(), key=lambda each: (each[1].created, each[0])))


def faq_of(notes: Notes, faq_id: str, *, path: str = "Id") -> Faq:
    """The FAQ with this id. Raises ResourceNotFound."""
    try:
        return faqs_of(notes)[faq_id]
    except KeyError:
        raise ResourceNotFound(f"The index has no FAQ with the id {faq_id!r} - at `{path}`") from None


def set_faq(notes: Notes, faq_id: str, faq: Faq | None) -> None:
    """Put a FAQ's note in the place of the one with this id; None removes it."""

    def changed(faqs: dict[str, Faq] | None) -> dict[str, Faq] | None:
        rest = {name: other for name, other in (faqs or {}).items() if name != faq_id}
        return rest if faq is None else {**rest, faq_id: faq}

    notes.change(_NOTE, dict[str, Faq], changed)


def questions_index(index: Index) -> Index | None:
    """The index of the rows of this index's FAQs; None when there is none."""
    beside = index.bucket.index(_name_beside(index.name))
    try:
        return beside if beside.property(OWNER_PROPERTY) == index.uid else None
    except IndexNotFound:
        return None


def put_rows(index: Index, faq: Faq, rows: Sequence[FaqRow], *, embedder: Embedder) -> None:
    """Store the rows of a new FAQ. Raises InvalidRequest: the store refuses one."""
    beside = _made_beside(index)
    for first in range(0, len(rows), _BATCH):
        batch = rows[first : first + _BATCH]
        vectors = embed_texts([row.question for row in batch], embedder)
        keys = [f"{faq.id}#{first + at:06d}" for at in range(len(batch))]
        metadata = [_metadata(faq, key, row) for key, row in zip(keys, batch, strict=True)]
        beside.put(keys, np.asarray(vectors, dtype=np.float32), metadata)


def delete_rows(index: Index, faq_id: str | None = None) -> None:
    """Delete the rows of a FAQ, of all of them with None."""
    beside = questions_index(index)
    if beside is None:
        return
    if faq_id is None:
        beside.delete_index()
    else:
        beside.delete(where=Eq(FAQ_ID, faq_id))


def count_rows(index: Index) -> int:
    """How many questions the FAQs of an index hold."""
    beside = questions_index(index)
    return 0 if beside is None else beside.count(EVERYTHING)


def _metadata(faq: Faq, key: str, row: FaqRow) -> Mapping[str, Any]:
    about = {SOURCE_URI: row.uri} if row.uri else {}
    return {
        LANGUAGE_CODE: faq.language,
        **row.attributes,
        **about,
        DOCUMENT_ID: hashlib.sha256(key.encode()).hexdigest(),
        FAQ_ID: faq.id,
        QUESTION: row.question,
        ANSWER: row.answer,
    }


def _made_beside(index: Index) -> Index:
    beside = questions_index(index)
    if beside is not None:
        return beside
    name, bucket = _name_beside(index.name), index.bucket
    if bucket.index(name).exists() and bucket.index(name).property(OWNER_PROPERTY) not in (None, index.uid):
        # Of an index that was deleted by other means than DeleteIndex, and whose name this one has now.
        bucket.index(name).delete_index()
    try:
        beside = bucket.create_index(
            name, dimension=index.dimension, metric=index.metric, non_filterable=(QUESTION, ANSWER)
        )
    except IndexExists:
        beside = bucket.index(name)
    beside.set_property(OWNER_PROPERTY, index.uid)
    return beside


def _name_beside(name: str) -> str:
    beside = f"{name}.faq"
    if len(beside) <= _LONGEST_NAME:
        return beside
    return f"{name[:40]}.{hashlib.sha256(name.encode()).hexdigest()[:16]}.faq"
