"""FAQs added and deleted."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence

import msgspec

from ragvec.errors import InvalidRequest, QuotaExceeded
from ragvec.kendra.faqs.stored import Faq, FaqRow, delete_rows, faq_of, faqs_of, put_rows, set_faq
from ragvec.kendra.limits import Limits
from ragvec.kendra.notes import Notes
from ragvec.kendra.tags import drop_tags
from ragvec.protocols import Embedder
from ragvec.store import Index

__all__ = ["add_faq", "delete_faq", "new_faq"]


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


def delete_faq(index: Index, faq_id: str) -> None:
    """Delete a FAQ and its rows. Raises ResourceNotFound."""
    notes = Notes(index)
    faq_of(notes, faq_id)
    delete_rows(index, faq_id)
    set_faq(notes, faq_id, None)
    drop_tags(notes, part=f"faq/{faq_id}")
