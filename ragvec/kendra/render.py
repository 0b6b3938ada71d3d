"""Results in Kendra's response shapes, as boto3 would hand them over: plain dicts, dates as datetime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ragvec.kendra.attributes import Schema, kendra_type, kendra_value
from ragvec.kendra.excerpts import Sought, passage_content, text_of
from ragvec.kendra.found import Correction, FacetCounts, Outcome
from ragvec.kendra.items import Items, document_attributes, item_id, new_query_id
from ragvec.kendra.limits import Limits
from ragvec.kendra.relevance import Scale
from ragvec.kendra.request.asked import Request
from ragvec.pipeline.passages import DOCUMENT_TITLE, SOURCE_URI

__all__ = ["item_id", "new_query_id", "render_query", "render_retrieve"]

_LONGEST_WARNING = 2048


def render_query(
    outcome: Outcome, request: Request, *, schema: Schema, scale: Scale, limits: Limits, query_id: str
) -> dict[str, Any]:
    """The response of Query."""
    items = Items(
        sought=Sought.of(outcome), request=request, schema=schema, scale=scale, limits=limits, query_id=query_id
    )
    response: dict[str, Any] = {
        "QueryId": query_id,
        "ResultItems": [
            *(items.answer(answer) for answer in outcome.answers),
            *(items.faq(hit) for hit in outcome.faqs),
            *(items.document(found) for found in outcome.items),
        ],
        "FacetResults": _facet_results(outcome.facets),
        "TotalNumberOfResults": outcome.total,
    }
    if outcome.warnings:
        message = "; ".join(outcome.warnings)[:_LONGEST_WARNING]
        response["Warnings"] = [{"Message": message, "Code": "QUERY_LANGUAGE_INVALID_SYNTAX"}]
    if outcome.correction is not None:
        response["SpellCorrectedQueries"] = [_corrected(outcome.correction)]
    if outcome.featured:
        response["FeaturedResultsItems"] = [items.featured(found) for found in outcome.featured]
    return response


def render_retrieve(
    outcome: Outcome, request: Request, *, schema: Schema, scale: Scale, limits: Limits, query_id: str
) -> dict[str, Any]:
    """The response of Retrieve."""
    sought = Sought.of(outcome)
    return {
        "QueryId": query_id,
        "ResultItems": [
            {
                "Id": item_id(query_id, "PASSAGE", found.key),
                "DocumentId": found.document_id,
                "DocumentTitle": text_of(found, DOCUMENT_TITLE),
                "Content": passage_content(found, sought, limits=limits),
                "DocumentURI": text_of(found, SOURCE_URI),
                "DocumentAttributes": document_attributes(found.metadata, schema=schema, requested=request.requested),
                "ScoreAttributes": {"ScoreConfidence": scale.confidence(found.score)},
            }
            for found in outcome.items
        ],
    }


def _corrected(correction: Correction) -> dict[str, Any]:
    return {
        "SuggestedQueryText": correction.text,
        "Corrections": [
            {"BeginOffset": word.begin, "EndOffset": word.end, "Term": word.term, "CorrectedTerm": word.corrected}
            for word in correction.words
        ],
    }


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
