"""FAQs as an index keeps them: each FAQ a note, its rows in an index beside it.

The rows stand in an index `<name>.faq-<id>` of the same bucket, one vector a row: that of the question. Name and id
are those of the index that they belong to, so that no other can take it for its own. It is not listed among query
indexes, and goes with that index, however it is deleted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np

from ragvec.engine.protocol import OWNER
from ragvec.errors import ResourceNotFound
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
_OF_NAME = 22
"""So much of a name, with an id of 36 characters, makes a name of no more than 63."""
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
    beside = index.bucket.index(_name_beside(index))
    return beside if beside.exists() else None


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
    beside = index.bucket.create_index(
        _name_beside(index),
        dimension=index.dimension,
        metric="cosine",
        non_filterable=(QUESTION, ANSWER),
        exist_ok=True,
        properties={OWNER: index.uid, OWNER_PROPERTY: index.uid},
    )
    if beside.property(OWNER) is None:  # one from before there was this property
        beside.set_property(OWNER, index.uid)
    return beside


def _name_beside(index: Index) -> str:
    return f"{index.name[:_OF_NAME].rstrip('-.')}.faq-{index.uid}"
