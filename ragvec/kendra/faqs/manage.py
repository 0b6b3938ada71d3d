"""FAQs added and deleted."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from ragvec.errors import InvalidRequest, QuotaExceeded
from ragvec.kendra.attributes import Schema
from ragvec.kendra.faqs.files import read_faq_rows
from ragvec.kendra.faqs.stored import Faq, FaqRow, delete_rows, faq_of, faqs_of, put_rows, set_faq
from ragvec.kendra.limits import Limits
from ragvec.kendra.notes import Notes
from ragvec.kendra.problems import shown, unexpected
from ragvec.kendra.tags import drop_tags
from ragvec.protocols import Embedder
from ragvec.store import Index

__all__ = ["add_faq", "add_faq_rows", "delete_faq", "new_faq"]


def new_faq(name: str) -> Faq:
    """The note of a FAQ that is about to be added."""
    now = time.time()
    return Faq(id=str(uuid.uuid4()), name=name, created=now, updated=now, status="CREATING")


def add_faq(
    index: Index, faq: Faq, read: Callable[[], Sequence[FaqRow]], *, embedder: Callable[[], Embedder], limits: Limits
) -> Faq:
    """Add a FAQ with the rows that `read` gives, and return its note: ACTIVE, or FAILED where `read` or the store
    refused them.

    Raises:
        QuotaExceeded: the index has as many FAQs as it may.
    """
    notes = Notes(index)
    most = limits.faqs_of_index
    if most is not None and len(faqs_of(notes)) >= most:
        raise QuotaExceeded(f"Expected at most {most} FAQs in an index")
    set_faq(notes, faq.id, faq)
    rows: Sequence[FaqRow] = ()
    try:
        rows = read()
        put_rows(index, faq, rows, embedder=embedder())
    except InvalidRequest as error:
        delete_rows(index, faq.id)
        done = msgspec.structs.replace(faq, status="FAILED", error=error.message, updated=time.time())
    except BaseException:
        delete_rows(index, faq.id)
        set_faq(notes, faq.id, None)
        raise
    else:
        done = msgspec.structs.replace(faq, status="ACTIVE", rows=len(rows), updated=time.time())
    set_faq(notes, faq.id, done)
    return done


def add_faq_rows(
    index: Index,
    rows: Iterable[Mapping[str, Any]],
    *,
    name: str,
    language: str,
    schema: Schema,
    embedder: Callable[[], Embedder],
    limits: Limits,
) -> str:
    """Add a FAQ of these rows, as `read_faq_rows` takes them, and return its id.

    Raises:
        InvalidRequest: a row breaks a rule; nothing was added. QuotaExceeded: as from `add_faq`.
    """
    if isinstance(rows, (str, bytes, Mapping)) or not isinstance(rows, Iterable):
        raise unexpected("a list of rows, each a dict", shown(rows), path="rows")
    found = read_faq_rows(rows, schema=schema, limits=limits)
    faq = msgspec.structs.replace(new_faq(name), language=language, format="JSON")
    done = add_faq(index, faq, lambda: found, embedder=embedder, limits=limits)
    if done.status == "FAILED":
        delete_faq(index, done.id)
        raise InvalidRequest(done.error, path="rows")
    return done.id


def delete_faq(index: Index, faq_id: str) -> None:
    """Delete a FAQ and its rows. Raises ResourceNotFound."""
    notes = Notes(index)
    faq_of(notes, faq_id)
    delete_rows(index, faq_id)
    set_faq(notes, faq_id, None)
    drop_tags(notes, part=f"faq/{faq_id}")
