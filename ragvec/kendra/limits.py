"""Every number of the query contract, once.

`KENDRA` holds what the Amazon Kendra service documents as observable: what is refused, cut, or assumed when absent.
`NATIVE` lifts what is commercial in it and keeps what protects a program from itself.
"""

from __future__ import annotations

import msgspec

__all__ = ["KENDRA", "NATIVE", "Limits"]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits and defaults of one contract. Lengths are in characters, both ends allowed; None means no limit."""

    query_text: int | None = 1000
    results: int | None = 100
    """Results that can be reached by paging; the total may be larger."""
    page_size: int | None = 100
    """A larger page size is reduced to this without an error."""
    page_size_default: int = 10

    filter_depth: int = 2
    """And, Or and Not filters inside one another; a condition alone has depth 0."""
    filter_members: int | None = 10
    string_list: int | None = 10
    string_value: int | None = 2048
    principals: int | None = 2048
    principal_length: int = 200
    access_entries: int | None = 200
    """Principals in one access list of a document."""
    access_levels: int = 30
    """Lists in a hierarchical access list."""
    group_members: int | None = 1000
    """Users, and groups, in a principal mapping that names them itself."""
    token_length: int = 100_000
    requested_attributes: int | None = 100
    sort_fields: int | None = 3
    overrides: int | None = 500
    """Fields that one query may tune."""
    token_words: int | None = 30
    """Words of a query that count; stop words, punctuation and operators are none."""

    answers: int = 3
    faqs: int = 4
    expanded: int | None = 100
    """The most that a request may ask to expand, items or results in each; the defaults are what it gets unasked."""
    expanded_items_default: int = 10
    expanded_results_default: int = 10

    facet_values: int | None = 5000
    facet_values_default: int = 10
    nested_facets: int = 1

    excerpt_chars: int = 300
    excerpt_words: int = 100
    passage_words: int = 200
    page_of_indices: int = 100

    documents: int | None = 10
    """Documents in one call that puts, deletes or asks after them."""
    document_bytes: int | None = 50 << 20
    """Of the file of a document."""
    document_text: int | None = 5 << 20
    """Bytes of the text that is read out of it."""
    faqs_of_index: int | None = 30
    faq_bytes: int = 5 << 20
    """Of a FAQ's file."""
    faq_question: int | None = 300
    faq_answer: int | None = 2000

    featured_sets: int | None = 50
    featured_queries: int | None = 49
    featured_documents: int | None = 4
    """Of one set, like its queries."""
    thesaurus_bytes: int = 5 << 20
    """Of a thesaurus's file."""
    thesaurus_rules: int | None = 10_000
    synonyms: int | None = 10
    """Of one term."""
    block_list_bytes: int = 2 << 20
    """Of a block list's file."""
    block_list_phrases: int | None = 20_000
    suggestions: int | None = 10
    suggestions_default: int = 5
    suggestion_attributes: int | None = 10
    """Attributes whose values are suggested in one call."""
    suggestion_additions: int | None = 5
    """Other attributes of the documents that have them."""


KENDRA = Limits()

NATIVE = Limits(
    query_text=None,
    results=None,
    page_size=None,
    filter_depth=32,
    filter_members=None,
    string_list=None,
    string_value=None,
    principals=None,
    access_entries=None,
    group_members=None,
    requested_attributes=None,
    sort_fields=None,
    overrides=None,
    token_words=None,
    expanded=None,
    facet_values=None,
    documents=None,
    document_bytes=None,
    document_text=None,
    faqs_of_index=None,
    faq_bytes=1 << 30,
    faq_question=None,
    faq_answer=None,
    featured_sets=None,
    featured_queries=None,
    featured_documents=None,
    thesaurus_bytes=1 << 30,
    thesaurus_rules=None,
    synonyms=None,
    block_list_bytes=1 << 30,
    block_list_phrases=None,
    suggestions=None,
    suggestion_attributes=None,
    suggestion_additions=None,
)
