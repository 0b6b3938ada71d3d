"""Relevance tuning: attributes of a document that move it up, by the index or by one query. The formula is public.

Tuning multiplies the odds of a document's relevance s, and so keeps it between 0 and 1:

    odds(s) = s ÷ (1 − s)        odds(tuned s) = odds(s) × product of the factors of all tuned fields
    factor of a field = 1 + (importance − usual) ÷ 3 × signal

`usual` is 1, for `_document_title` and `_excerpt_page_number` 2, as in a Kendra index that nobody has configured, so
that a field left at its default moves nothing; for a date with freshness it is 0, so that freshness alone moves
something. Importance 10 with the full signal multiplies the odds by 4. The signal is between 0 and 1:

- text, a list of texts: the share of the query's words (stems, stop words left out) that the value has;
- text with a value map: as well, a factor of its own, 1 + (number of the value − 1) ÷ 3 for a value in the map;
- a number: the share of the other found documents with the field that it beats, in its rank order; ASCENDING means
  that more is better, DESCENDING that less is;
- a date without freshness: as a number, later being more;
- a date with freshness, of the age a: 2^(−a ÷ duration) up to the duration, which is ½ there; beyond it the signal
  fades further by 2^(−importance × (a − duration) ÷ duration), faster the higher the importance. The future is age 0.

What a document lacks gives no signal. Tuning re-orders what was found; it neither adds nor removes a document.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from ragvec.errors import InvalidRequest
from ragvec.kendra.attributes import Field, Schema
from ragvec.kendra.problems import shown, unexpected
from ragvec.pipeline.passages import DOCUMENT_TITLE, PAGE_NUMBER
from ragvec.text.words import query_terms, words

__all__ = ["DURATION", "Tuning", "configured", "effective", "factors", "read_relevance", "tuned", "usual_importance"]

DURATION = 25_920_000
"""Seconds, 300 days: what Kendra shows for its own date fields."""

_STEP = 3.0
_LARGEST = 10
_LONGEST_VALUE = 50
_MEMBERS = ("Importance", "Freshness", "Duration", "RankOrder", "ValueImportanceMap")
_NUMBERS = ("LONG_VALUE", "DOUBLE", "DATE_VALUE")
_APPLY = {
    "Freshness": ("DATE_VALUE",),
    "Duration": ("DATE_VALUE",),
    "RankOrder": _NUMBERS,
    "ValueImportanceMap": ("STRING_VALUE", "BOOLEAN", "DOUBLE"),
}


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """How one field moves documents; see the module. `duration` is in seconds, `values` maps values to 1 to 10."""

    field: Field
    importance: int = 1
    freshness: bool = False
    duration: int = DURATION
    descending: bool = False
    values: dict[str, int] = {}

    @property
    def strength(self) -> float:
        """What the full signal adds to the factor."""
        fresh = self.freshness and self.field.type == "DATE_VALUE"
        return (self.importance - (0 if fresh else usual_importance(self.field.name))) / _STEP

    @property
    def neutral(self) -> bool:
        """Whether it moves nothing."""
        return not self.strength and all(each == 1 for each in self.values.values())


def usual_importance(name: str) -> int:
    """The importance of a field that nobody has tuned."""
    return 2 if name in (DOCUMENT_TITLE, PAGE_NUMBER) else 1


def read_relevance(value: object, *, field: Field, path: str) -> Tuning:
    """Kendra's `Relevance` of a field; what is absent has its default, and what means nothing must not be asked for.

    Raises:
        InvalidRequest: a member is unknown, of a wrong type or out of range, or does not apply to the field's type.
    """
    if not isinstance(value, Mapping):
        raise unexpected(f"an object with {', '.join(_MEMBERS)}", shown(value), path=path)
    given = {name: member for name, member in value.items() if member is not None}
    for name, member in given.items():
        if name not in _MEMBERS:
            raise InvalidRequest(
                f"Unknown member {shown(name)} - at `{path}`; known are {', '.join(_MEMBERS)}", path=path
            )
        if field.type not in _APPLY.get(name, (field.type,)) and member is not False and member != {}:
            raise InvalidRequest(
                f"{name} does not apply to the field {field.name!r}, of type {field.type} - at `{path}.{name}`",
                path=f"{path}.{name}",
            )
    return Tuning(
        field=field,
        importance=_importance(given.get("Importance", usual_importance(field.name)), path=f"{path}.Importance"),
        freshness=_flag(given.get("Freshness", False), path=f"{path}.Freshness"),
        duration=_duration(given.get("Duration", f"{DURATION}s"), path=f"{path}.Duration"),
        descending=_order(given.get("RankOrder", "ASCENDING"), path=f"{path}.RankOrder"),
        values=_values(given.get("ValueImportanceMap", {}), path=f"{path}.ValueImportanceMap"),
    )


def configured(schema: Schema) -> tuple[Tuning, ...]:
    """The tuning of the index itself, as its fields are configured. Raises as `read_relevance`."""
    return tuple(
        read_relevance(field.relevance, field=field, path=f"{field.name}.Relevance")
        for field in schema.fields.values()
        if field.relevance is not None
    )


def effective(
    of_index: Iterable[Tuning], overrides: Iterable[Tuning], *, as_kendra: bool = False
) -> tuple[Tuning, ...]:
    """What is in force for a query: the tuning of the index, with each field that the query overrides replaced whole.

    With `as_kendra`, the service's two rules hold: without any tuning at the index overrides do nothing, and with
    overrides the other fields of the index are left at their usual importance.
    """
    by_name = {tuning.field.name: tuning for tuning in of_index if not tuning.neutral}
    given = {tuning.field.name: tuning for tuning in overrides}
    if as_kendra and given:
        by_name = given if by_name else {}
    else:
        by_name |= given
    return tuple(by_name[name] for name in sorted(by_name) if not by_name[name].neutral)


def factors(
    documents: Sequence[Mapping[str, Any]], tunings: Iterable[Tuning], *, text: str, now: float
) -> list[dict[str, float]]:
    """For each document, given by its metadata, the factor of each tuned field by name; `now` is in epoch seconds."""
    found: list[dict[str, float]] = [{} for _ in documents]
    asked = query_terms(text).stems
    for tuning in tunings:
        values = [metadata.get(tuning.field.name) for metadata in documents]
        for each, signal, value in zip(found, _signals(tuning, values, asked, now), values, strict=True):
            factor = 1 + tuning.strength * signal
            if tuning.values:
                factor *= 1 + (tuning.values.get(_as_text(value), 1) - 1) / _STEP
            each[tuning.field.name] = factor
    return found


def tuned(score: float, by_field: Mapping[str, float]) -> float:
    """The relevance with its odds multiplied by the factors."""
    factor = math.prod(by_field.values())
    return score * factor / (1 - score + score * factor) if 0 < score < 1 else score


def _signals(tuning: Tuning, values: Sequence[Any], asked: frozenset[str], now: float) -> list[float]:
    kind = tuning.field.type
    if kind == "DATE_VALUE" and tuning.freshness:
        return [_fresh(tuning, now - value) if _is_number(value) else 0.0 for value in values]
    if kind in _NUMBERS:
        return _beaten(values, descending=tuning.descending)
    return [_share(value, asked) for value in values]


def _fresh(tuning: Tuning, age: float) -> float:
    lives = max(age, 0.0) / max(tuning.duration, 1)
    return math.pow(2.0, -(lives if lives <= 1 else 1 + tuning.importance * (lives - 1)))


def _beaten(values: Sequence[Any], *, descending: bool) -> list[float]:
    """Of each value, the share of the other ones that it is strictly better than."""
    ordered = sorted(value for value in values if _is_number(value))
    others = max(len(ordered) - 1, 1)
    if descending:
        return [(len(ordered) - bisect_right(ordered, v)) / others if _is_number(v) else 0.0 for v in values]
    return [bisect_left(ordered, v) / others if _is_number(v) else 0.0 for v in values]


def _share(value: Any, asked: frozenset[str]) -> float:
    texts = [value] if isinstance(value, str) else value if isinstance(value, (list, tuple)) else ()
    if not asked or not texts:
        return 0.0
    there = {word.term for text in texts for word in words(str(text))}
    return len(asked & there) / len(asked)


def _as_text(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _importance(value: object, *, path: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _LARGEST:
        raise unexpected(f"a whole number from 1 to {_LARGEST}", shown(value), path=path)
    return value


def _flag(value: object, *, path: str) -> bool:
    if not isinstance(value, bool):
        raise unexpected("true or false", shown(value), path=path)
    return value


def _duration(value: object, *, path: str) -> int:
    if not isinstance(value, str) or re.fullmatch("[0-9]{1,9}s", value) is None:
        raise unexpected("seconds as text, like '25920000s'", shown(value), path=path)
    return int(value[:-1])


def _order(value: object, *, path: str) -> bool:
    if value not in ("ASCENDING", "DESCENDING"):
        raise unexpected("ASCENDING or DESCENDING", shown(value), path=path)
    return value == "DESCENDING"


def _values(value: object, *, path: str) -> dict[str, int]:
    if not isinstance(value, Mapping):
        raise unexpected("an object of values and their importance", shown(value), path=path)
    for name in value:
        if not isinstance(name, str) or not 1 <= len(name) <= _LONGEST_VALUE:
            raise unexpected(f"values of 1 to {_LONGEST_VALUE} characters", shown(name), path=path)
    return {name: _importance(number, path=f"{path}.{name}") for name, number in value.items()}
