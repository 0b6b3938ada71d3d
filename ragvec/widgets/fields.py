"""The fields of an index as a filter builder offers them: those that documents really have, with values in use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from ragvec.filters.nodes import Eq
from ragvec.kendra.access.lists import is_access_field
from ragvec.kendra.attributes import Schema, plain_value
from ragvec.kendra.markup import value_text
from ragvec.kendra.request import conjunction
from ragvec.pipeline.passages import (
    CREATED_AT,
    DOCUMENT_ID,
    DOCUMENT_TITLE,
    PAGE_NUMBER,
    PASSAGE,
    SOURCE_URI,
    VERSION,
    AttributeType,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragvec.kendra.index import QueryIndex

__all__ = ["OPERATORS", "UsedField", "label_of", "used_fields"]

OPERATORS: Mapping[str, tuple[str, ...]] = {
    "STRING_VALUE": ("is", "is not", "begins with", "is there", "is missing"),
    "STRING_LIST_VALUE": ("is", "is not", "begins with", "is there", "is missing"),
    "LONG_VALUE": ("is", "is not", "at least", "at most", "is there", "is missing"),
    "DOUBLE": ("is", "is not", "at least", "at most", "is there", "is missing"),
    "DATE_VALUE": ("at least", "at most", "is there", "is missing"),
    "BOOLEAN": ("is", "is missing"),
}
"""What can be asked of a field, by its type; a list is what one of its elements is."""

_SAMPLE = 2000
_OFFERED = 50
_FACETS = 6
_LONGEST = 80
_MOST_VALUES = 200
_FEW = 20
_NO_FACETS = frozenset({CREATED_AT, DOCUMENT_TITLE, PAGE_NUMBER, SOURCE_URI, VERSION})


class UsedField(msgspec.Struct, frozen=True):
    """A field that documents have: some of its values, as text and most frequent first, and whether it is worth
    counting."""

    name: str
    type: AttributeType
    values: tuple[str, ...]
    facet: bool
    sortable: bool

    @property
    def label(self) -> str:
        """The name for people."""
        return label_of(self.name)


def label_of(name: str) -> str:
    """A field's name for people: `_last_updated_at` is "Last updated at"."""
    words = name.strip("_").replace("_", " ")
    return words[:1].upper() + words[1:] if words else name


def used_fields(
    query_index: QueryIndex, *, user: str | None = None, groups: Sequence[str] | None = None
) -> tuple[UsedField, ...]:
    """The fields that the first 2,000 documents have which these may see, in order of name. Six at most are worth
    counting, of those whose values come again: fields of your own and fields of few values before others."""
    schema: Schema = query_index.schema
    where = conjunction(query_index.condition(user=user, groups=groups), Eq(PASSAGE, 0))
    values: dict[str, Counter[Any]] = {}
    documents: Counter[str] = Counter()
    for record in islice(query_index.index.iter(where=where, batch=_SAMPLE), _SAMPLE):
        for name, value in (record.metadata or {}).items():
            if name not in schema.fields or is_access_field(name) or value in (None, "", []):
                continue
            documents[name] += 1
            field = schema.fields[name]
            for one in value if isinstance(value, (list, tuple)) else (value,):
                values.setdefault(name, Counter())[plain_value(field, one)] += 1
    worth = {name for name in documents if _is_worth_counting(name, schema, values[name])}
    counted = sorted(worth, key=lambda name: _rank(name, len(values[name]), documents[name]))[:_FACETS]
    fixed = set(query_index.index.non_filterable) | {DOCUMENT_ID}
    return tuple(
        UsedField(
            name,
            schema.fields[name].type,
            # A longer one would be offered cut, and found nowhere.
            tuple(value_text(value) for value, _ in values[name].most_common(_OFFERED) if len(str(value)) <= _LONGEST),
            name in counted,
            schema.fields[name].sortable,
        )
        for name in sorted(documents)
        if name not in fixed
    )


def _rank(name: str, values: int, documents: int) -> tuple[bool, bool, int, str]:
    return values > _FEW, name.startswith("_"), -documents, name


def _is_worth_counting(name: str, schema: Schema, values: Counter[Any]) -> bool:
    """Whether a person would choose by this field: some values, that several documents share."""
    field = schema.fields[name]
    if name in _NO_FACETS or not field.facetable or field.type in ("LONG_VALUE", "DOUBLE"):
        return False
    if field.type == "DATE_VALUE":
        return len({value.year for value in values if hasattr(value, "year")}) > 1
    return 1 < len(values) <= _MOST_VALUES and sum(values.values()) >= 2 * len(values)
