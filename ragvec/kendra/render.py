"""Results in Kendra's response shapes, as boto3 would hand them over: plain dicts, dates as datetime."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Sequence
from typing import Any

from ragvec.kendra.attributes import Schema, kendra_type, kendra_value
from ragvec.kendra.found import FacetCounts, Found, Outcome
from ragvec.kendra.limits import Limits
from ragvec.kendra.relevance import Scale
from ragvec.kendra.request import Request
from ragvec.pipeline.passages import DOCUMENT_TITLE, PASSAGE, PASSAGES, SOURCE_URI, TEXT
from ragvec.text.highlight import Excerpt, Span, best_window, excerpt, highlights
from ragvec.text.words import Terms, query_terms

__all__ = ["document_attributes", "excerpt_of", "new_query_id", "passage_content", "render_query", "render_retrieve"]


def render_query(
    outcome: Outcome, request: Request, *, schema: Schema, scale: Scale, limits: Limits, query_id: str
) -> dict[str, Any]:
    """The response of Query."""
    terms = query_terms(request.text or "")
    return {
        "QueryId": query_id,
        "ResultItems": [
            _document_item(found, request, terms=terms, schema=schema, scale=scale, limits=limits, query_id=query_id)
            for found in outcome.items
        ],
        "FacetResults": _facet_results(outcome.facets),
        "TotalNumberOfResults": outcome.total,
    }


def render_retrieve(
    outcome: Outcome, request: Request, *, schema: Schema, scale: Scale, limits: Limits, query_id: str
) -> dict[str, Any]:
    """The response of Retrieve."""
    terms = query_terms(request.text or "")
    return {
        "QueryId": query_id,
        "ResultItems": [
            {
                "Id": _item_id(query_id),
                "DocumentId": found.document_id,
                "DocumentTitle": _text(found, DOCUMENT_TITLE),
                "Content": passage_content(found, terms, limits=limits),
                "DocumentURI": _text(found, SOURCE_URI),
                "DocumentAttributes": document_attributes(found, schema=schema, requested=request.requested),
                "ScoreAttributes": {"ScoreConfidence": scale.confidence(found.score)},
            }
            for found in outcome.items
        ],
    }


def new_query_id() -> str:
    """A UUID, new for every request."""
    return str(uuid.uuid4())


def excerpt_of(found: Found, terms: Terms, *, limits: Limits) -> Excerpt:
    """The part of the passage that shows most of the terms; dots also where the passage is not its whole document."""
    number, count = found.metadata.get(PASSAGE, 0), found.metadata.get(PASSAGES, 1)
    return excerpt(
        _text(found, TEXT),
        terms,
        max_chars=limits.excerpt_chars,
        max_words=limits.excerpt_words,
        more_before=number > 0,
        more_after=number + 1 < count,
    )


def passage_content(found: Found, terms: Terms, *, limits: Limits) -> str:
    """The passage's text; of one that is too long, the window that shows most of the terms, without dots."""
    text = _text(found, TEXT)
    if len(text.split()) <= limits.passage_words:
        return text
    window = best_window(text, terms, max_chars=None, max_words=limits.passage_words)
    return text[window.begin : window.end]


def document_attributes(found: Found, *, schema: Schema, requested: Sequence[str] | None) -> list[dict[str, Any]]:
    """The attributes to return, in order of name: those requested that are there, or else the displayable ones."""
    names = (
        [name for name, field in schema.fields.items() if field.displayable] if requested is None else sorted(requested)
    )
    return [
        {"Key": name, "Value": kendra_value(schema.fields[name], found.metadata[name])}
        for name in dict.fromkeys(names)
        if name in schema.fields and found.metadata.get(name) not in (None, "", [])
    ]


def _document_item(
    found: Found, request: Request, *, terms: Terms, schema: Schema, scale: Scale, limits: Limits, query_id: str
) -> dict[str, Any]:
    item_id = _item_id(query_id)
    title = _text(found, DOCUMENT_TITLE)
    shown = excerpt_of(found, terms, limits=limits)
    return {
        "Id": item_id,
        "Type": "DOCUMENT",
        "Format": "TEXT",
        "AdditionalAttributes": [],
        "DocumentId": found.document_id,
        "DocumentTitle": {"Text": title, "Highlights": _highlights(highlights(title, terms))},
        "DocumentExcerpt": {"Text": shown.text, "Highlights": _highlights(shown.highlights)},
        "DocumentURI": _text(found, SOURCE_URI),
        "DocumentAttributes": document_attributes(found, schema=schema, requested=request.requested),
        "ScoreAttributes": {"ScoreConfidence": scale.confidence(found.score)},
        "FeedbackToken": f"{_feedback_prefix(query_id)}.{item_id}",
    }


def _text(found: Found, name: str) -> str:
    value = found.metadata.get(name)
    return value if isinstance(value, str) else ""


def _item_id(query_id: str) -> str:
    return f"{query_id}-{uuid.uuid4()}"


def _feedback_prefix(query_id: str) -> str:
    return base64.urlsafe_b64encode(uuid.UUID(query_id).bytes).decode().rstrip("=")


def _highlights(spans: Sequence[Span]) -> list[dict[str, Any]]:
    return [
        {"BeginOffset": span.begin, "EndOffset": span.end, "TopAnswer": False, "Type": "STANDARD"} for span in spans
    ]


def _facet_results(facets: Sequence[FacetCounts]) -> list[dict[str, Any]]:
    results = []
    for facet in facets:
        pairs = []
        for value in facet.values:
            pair: dict[str, Any] = {
                "DocumentAttributeValue": _facet_value(facet, value.value),
                "Count": value.count,
            }
            if value.nested is not None:
                pair["FacetResults"] = _facet_results([value.nested])
            pairs.append(pair)
        results.append(
            {
                "DocumentAttributeKey": facet.field.name,
                "DocumentAttributeValueType": kendra_type(facet.field),
                "DocumentAttributeValueCountPairs": pairs,
            }
        )
    return results


def _facet_value(facet: FacetCounts, value: Any) -> dict[str, Any]:
    """One value of the field; an element of a list field is a text of its own."""
    if facet.field.type == "STRING_LIST_VALUE":
        return {"StringValue": value}
    return kendra_value(facet.field, value)
