"""Structured queries, as a language model writes them for a self-query retriever, to filters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.structured_query import Comparator, Comparison, Operation, Operator, StructuredQuery, Visitor

from ragvec.langchain.filters import native_filter

__all__ = ["RagvecTranslator"]


class RagvecTranslator(Visitor):
    """For `SelfQueryRetriever(structured_query_translator=RagvecTranslator(), …)`."""

    allowed_operators: Sequence[Operator] | None = (Operator.AND, Operator.OR, Operator.NOT)
    allowed_comparators: Sequence[Comparator] | None = (
        Comparator.EQ,
        Comparator.NE,
        Comparator.GT,
        Comparator.GTE,
        Comparator.LT,
        Comparator.LTE,
        Comparator.IN,
        Comparator.NIN,
        Comparator.LIKE,
    )

    def visit_operation(self, operation: Operation) -> dict[str, Any]:
        """`$and`, `$or` or `$not` of what its arguments become. Raises ValueError, InvalidFilter."""
        self._validate_func(operation.operator)
        parts = [part.accept(self) for part in operation.arguments]
        if operation.operator is Operator.NOT:
            return {"$not": parts[0] if len(parts) == 1 else {"$and": parts}}
        return {f"${operation.operator.value}": parts}

    def visit_comparison(self, comparison: Comparison) -> dict[str, Any]:
        """A condition on one attribute; a date, which a model gives as an object, is compared as its text."""
        self._validate_func(comparison.comparator)
        value = comparison.value
        if isinstance(value, dict) and "date" in value:
            value = value["date"]
        return {comparison.attribute: {f"${comparison.comparator.value}": value}}

    def visit_structured_query(self, structured_query: StructuredQuery) -> tuple[str, dict[str, Any]]:
        """The text to search for, and the search arguments. Raises InvalidFilter."""
        if structured_query.filter is None:
            return structured_query.query, {}
        return structured_query.query, {"filter": native_filter(structured_query.filter.accept(self))}
