"""The items of a Query response, in Kendra's shapes."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from ragvec.kendra.attributes import Schema, kendra_value
from ragvec.kendra.excerpts import Sought, answer_text, beginning, excerpt_of, text_of
from ragvec.kendra.found import Answer, Cell, FaqHit, Found, Table
from ragvec.kendra.limits import Limits
from ragvec.kendra.relevance import Scale
from ragvec.kendra.request.asked import Collapse, Request
from ragvec.pipeline.passages import DOCUMENT_TITLE, SOURCE_URI
from ragvec.text.highlight import Span

__all__ = ["Items", "document_attributes", "item_id", "new_query_id"]


def new_query_id() -> str:
    """A UUID, new for every request."""
    return str(uuid.uuid4())


def item_id(query_id: str, kind: str, document_id: str) -> str:
    """The Id of a result: the query's, "-", and a UUID made of the query, the type of result and the document.

    The same three give the same Id, so that who has the query's results can tell which one an Id means.
    """
    return f"{query_id}-{uuid.uuid5(uuid.UUID(query_id), kind + chr(10) + document_id)}"


def document_attributes(
    metadata: Mapping[str, Any], *, schema: Schema, requested: Sequence[str] | None
) -> list[dict[str, Any]]:
    """The attributes to return, in order of name: those requested, or else all, as far as they may be displayed."""
    fields = schema.fields
    if requested is None:
        names = [name for name, field in fields.items() if field.displayable]
    else:
        names = [n for n in sorted(set(requested)) if n in fields and (fields[n].displayable or fields[n].requestable)]
    return [
        {"Key": name, "Value": kendra_value(fields[name], metadata[name])}
        for name in names
        if metadata.get(name) not in (None, "", [])
    ]


class Items(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Makes the items of one response."""

    sought: Sought
    request: Request
    schema: Schema
    scale: Scale
    limits: Limits
    query_id: str

    def document(self, found: Found) -> dict[str, Any]:
        """A DOCUMENT item, with its group where results are collapsed."""
        item = {
            "Id": self._id("DOCUMENT", found.document_id),
            "Type": "DOCUMENT",
            "Format": "TEXT",
            "AdditionalAttributes": [],
            **self._shown(found),
            "ScoreAttributes": {"ScoreConfidence": self.scale.confidence(found.score)},
            "FeedbackToken": self._feedback("DOCUMENT", found.document_id),
        }
        if self.request.collapse is not None and found.group is not None:
            item["CollapsedResultDetail"] = self._collapsed(found, found.group, self.request.collapse)
        return item

    def featured(self, found: Found) -> dict[str, Any]:
        """An item of FeaturedResultsItems, which has neither format nor score."""
        return {
            "Id": self._id("DOCUMENT", found.document_id),
            "Type": "DOCUMENT",
            "AdditionalAttributes": [],
            **self._shown(found),
            "FeedbackToken": self._feedback("DOCUMENT", found.document_id),
        }

    def answer(self, answer: Answer) -> dict[str, Any]:
        """An ANSWER item: the text that the answer stands in, or the table."""
        found = answer.passage
        item: dict[str, Any] = {
            "Id": self._id("ANSWER", found.document_id),
            "Type": "ANSWER",
            "Format": "TEXT" if answer.table is None else "TABLE",
            "DocumentId": found.document_id,
            "DocumentTitle": self._highlighted(text_of(found, DOCUMENT_TITLE)),
            "DocumentURI": text_of(found, SOURCE_URI),
            "DocumentAttributes": self._attributes(found.metadata),
            "ScoreAttributes": {"ScoreConfidence": answer.confidence},
            "FeedbackToken": self._feedback("ANSWER", found.document_id),
        }
        if answer.table is not None:
            return {**item, "TableExcerpt": _table(answer.table)}
        around = answer_text(answer, limits=self.limits)
        text = self._highlighted(around.text)
        text["Highlights"] = [_highlight(around.answer, top=True), *text["Highlights"]]
        return {
            **item,
            "AdditionalAttributes": [_additional("AnswerText", text)],
            "DocumentExcerpt": _all_highlighted(beginning(around.text, self.limits.excerpt_chars)),
        }

    def faq(self, hit: FaqHit) -> dict[str, Any]:
        """A QUESTION_ANSWER item."""
        return {
            "Id": self._id("QUESTION_ANSWER", hit.document_id),
            "Type": "QUESTION_ANSWER",
            "Format": "TEXT",
            "AdditionalAttributes": [
                _additional("QuestionText", self._highlighted(hit.question)),
                _additional("AnswerText", {"Text": hit.answer, "Highlights": []}),
            ],
            "DocumentId": hit.document_id,
            "DocumentTitle": {"Text": ""},
            "DocumentExcerpt": _all_highlighted(beginning(hit.answer, self.limits.excerpt_chars)),
            "DocumentURI": hit.uri,
            "DocumentAttributes": self._attributes(hit.metadata),
            "ScoreAttributes": {"ScoreConfidence": hit.confidence},
            "FeedbackToken": self._feedback("QUESTION_ANSWER", hit.document_id),
        }

    def _collapsed(self, found: Found, others: Iterable[Found], collapse: Collapse) -> dict[str, Any]:
        """The value that the group shares; an empty one for the documents without it."""
        value = found.metadata.get(collapse.field.name)
        attribute = {"Key": collapse.field.name, "Value": {} if value is None else kendra_value(collapse.field, value)}
        if not collapse.expand:
            return {"DocumentAttribute": attribute}
        return {
            "DocumentAttribute": attribute,
            "ExpandedResults": [
                {"Id": self._id("DOCUMENT", other.document_id), **self._shown(other)} for other in others
            ],
        }

    def _shown(self, found: Found) -> dict[str, Any]:
        shown = excerpt_of(found, self.sought, limits=self.limits)
        return {
            "DocumentId": found.document_id,
            "DocumentTitle": self._highlighted(text_of(found, DOCUMENT_TITLE)),
            "DocumentExcerpt": self._highlighted(shown.text, shown.highlights),
            "DocumentURI": text_of(found, SOURCE_URI),
            "DocumentAttributes": self._attributes(found.metadata),
        }

    def _highlighted(self, text: str, spans: Sequence[Span] | None = None) -> dict[str, Any]:
        spans = self.sought.spans(text) if spans is None else spans
        synonyms = self.sought.synonyms(text)
        return {"Text": text, "Highlights": [_highlight(span, synonym=span in synonyms) for span in spans]}

    def _attributes(self, metadata: Mapping[str, Any]) -> list[dict[str, Any]]:
        return document_attributes(metadata, schema=self.schema, requested=self.request.requested)

    def _id(self, kind: str, document_id: str) -> str:
        return item_id(self.query_id, kind, document_id)

    def _feedback(self, kind: str, document_id: str) -> str:
        prefix = base64.urlsafe_b64encode(uuid.UUID(self.query_id).bytes).decode().rstrip("=")
        return f"{prefix}.{self._id(kind, document_id)}"


def _highlight(span: Span, *, top: bool = False, synonym: bool = False) -> dict[str, Any]:
    return {
        "BeginOffset": span.begin,
        "EndOffset": span.end,
        "TopAnswer": top,
        "Type": "THESAURUS_SYNONYM" if synonym else "STANDARD",
    }


def _all_highlighted(text: str) -> dict[str, Any]:
    return {"Text": text, "Highlights": [_highlight(Span(0, len(text)))]}


def _additional(key: str, text: dict[str, Any]) -> dict[str, Any]:
    return {"Key": key, "ValueType": "TEXT_WITH_HIGHLIGHTS_VALUE", "Value": {"TextWithHighlightsValue": text}}


def _table(table: Table) -> dict[str, Any]:
    return {
        "Rows": [{"Cells": [_cell(cell) for cell in row]} for row in table.rows],
        "TotalNumberOfRows": table.total_rows,
    }


def _cell(cell: Cell) -> dict[str, Any]:
    # The model has no empty values: an empty cell has none.
    value = {"Value": cell.value} if cell.value else {}
    return {**value, "TopAnswer": cell.top_answer, "Highlighted": cell.highlighted, "Header": cell.header}
