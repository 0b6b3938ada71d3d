"""Metadata filters between JSON and the AST: `parse_filter` reads, `to_json` writes.

What a service accepts is data (`FilterRules`), so each dialect is a table. Two shapes exist. The lenient one: `{}`
matches everything, several keys in one object are an AND, a field may stand beside `$and`. The strict one, as S3
Vectors has it: every object holds exactly one field or exactly one of `$and` and `$or`. All other rules are common.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import msgspec
import numpy as np

from ragvec.errors import InvalidFilter, NonFilterableKey
from ragvec.filters.nodes import EVERYTHING, And, Compare, Eq, Exists, Filter, In, Not, Operator, Or, StartsWith
from ragvec.types import Scalar

__all__ = ["ALL_OPERATORS", "MAX_NESTING", "NATIVE", "FilterRules", "parse_filter", "to_json"]

MAX_NESTING = 64
"""The most levels of `$and` and `$or` under any rules, so that no document can exhaust the stack."""

COMPARISONS: dict[str, Operator] = {"$gt": "gt", "$gte": "gte", "$lt": "lt", "$lte": "lte"}
CONNECTIVES = ("$and", "$or")
ALL_OPERATORS = frozenset({"$eq", "$ne", "$in", "$nin", "$exists", "$startsWith", *COMPARISONS, *CONNECTIVES})


class FilterRules(msgspec.Struct, frozen=True):
    """What one dialect accepts; the defaults are the native dialect's. None means no limit.

    `max_depth` counts levels of `$and` and `$or` (a plain condition has none), `max_conditions` operators under fields
    (an `$in` is one, whatever its length), `max_bytes` the document as compact JSON in UTF-8. With
    `missing_satisfies_negation` false, `$ne` and `$nin` hold only where the field is present.
    """

    strict_shape: bool = False
    operators: frozenset[str] = ALL_OPERATORS
    missing_satisfies_negation: bool = True
    max_depth: int | None = None
    max_conditions: int | None = None
    max_bytes: int | None = None


NATIVE = FilterRules()


def parse_filter(document: object, rules: FilterRules = NATIVE, *, non_filterable: Collection[str] = ()) -> Filter:
    """The meaning of a filter given as decoded JSON (dicts, lists or tuples, scalars; numpy scalars count as theirs).

    Field names are literal, dots included. `document` is not modified.

    Raises:
        NonFilterableKey: it names one of `non_filterable`.
        InvalidFilter: anything else is wrong; `path` is such as `filter.$and[1].year.$gt`.
    """
    parser = _Parser(rules, non_filterable)
    parsed = parser.node(document, path="filter", depth=0)
    if rules.max_conditions is not None and parser.conditions > rules.max_conditions:
        raise _invalid(f"at most {rules.max_conditions} conditions", str(parser.conditions), "filter")
    if rules.max_bytes is not None:
        size = len(msgspec.json.encode(document, enc_hook=_encodable))
        if size > rules.max_bytes:
            raise _invalid(f"at most {rules.max_bytes} bytes of JSON", str(size), "filter")
    return parsed


class _Parser:
    def __init__(self, rules: FilterRules, non_filterable: Collection[str]) -> None:
        self.rules = rules
        self.non_filterable = non_filterable
        self.conditions = 0
        self.depth_limit = MAX_NESTING if rules.max_depth is None else min(rules.max_depth, MAX_NESTING)

    def node(self, document: object, *, path: str, depth: int) -> Filter:
        if not isinstance(document, Mapping):
            raise _invalid("an object", _show(document), path)
        if self.rules.strict_shape and len(document) != 1:
            got = f"{len(document)} keys" if document else "an empty object"
            raise _invalid("exactly one field, or $and or $or alone", got, path, advice="combine conditions with $and")
        children: list[Filter] = []
        for key, value in document.items():
            _check_name(key, path)
            here = f"{path}.{key}"
            if not key.startswith("$"):
                children.extend(self.field(key, value, here))
            elif key in CONNECTIVES and key in self.rules.operators:
                children.append(self.connective(key, value, path=here, depth=depth + 1))
            elif key in self.rules.operators:
                advice = f'write {{"field": {{"{key}": …}}}}'
                raise _invalid("a field name, $and or $or", f"the operator {key}", here, advice=advice)
            else:
                raise self.unknown(key, here)
        return _all(children)

    def connective(self, name: str, operand: object, *, path: str, depth: int) -> Filter:
        if depth > self.depth_limit:
            raise _invalid(f"at most {self.depth_limit} levels of $and and $or", f"at least {depth}", path)
        items = _items(operand, f"a list of filters under {name}", path)
        children = [self.node(item, path=f"{path}[{at}]", depth=depth) for at, item in enumerate(items)]
        if name == "$and":
            return _all(children)
        return children[0] if len(children) == 1 else Or(tuple(children))

    def field(self, field: str, value: object, path: str) -> list[Filter]:
        if field in self.non_filterable:
            got = f"{_show(field)}, which the index declares non-filterable"
            raise NonFilterableKey(f"Expected a filterable key, got {got} - at `{path}`", path=path)
        if not isinstance(value, Mapping):
            self.conditions += 1
            return [Eq(field, _scalar(value, path))]
        if not value:
            raise _invalid("a value or at least one operator", "an empty object", path)
        self.conditions += len(value)
        leaves = []
        for name, operand in value.items():
            _check_name(name, path)
            leaves.append(self.leaf(field, name, operand=operand, path=f"{path}.{name}"))
        return leaves

    def leaf(self, field: str, name: str, *, operand: object, path: str) -> Filter:
        if name not in self.rules.operators:
            raise self.unknown(name, path)
        if name in COMPARISONS:
            return Compare(field, COMPARISONS[name], _number(operand, path))
        if name == "$exists":
            present = _plain(operand)
            if not isinstance(present, bool):
                raise _invalid("true or false", _show(operand), path)
            return Exists(field) if present else Not(Exists(field))
        if name == "$startsWith":
            prefix = _plain(operand)
            if not isinstance(prefix, str):
                raise _invalid("text", _show(operand), path)
            return StartsWith(field, _check_text(prefix, path))
        if name in CONNECTIVES:
            advice = f"{name} combines filters and stands above the fields"
            raise _invalid("an operator on a value", name, path, advice=advice)
        positive: Eq | In
        if name in ("$eq", "$ne"):
            positive = Eq(field, _scalar(operand, path))
        else:
            items = _items(operand, f"a list of values under {name}", path)
            positive = In(field, tuple(_scalar(item, f"{path}[{at}]") for at, item in enumerate(items)))
        if name in ("$eq", "$in"):
            return positive
        negative = Not(positive)
        return negative if self.rules.missing_satisfies_negation else And((Exists(field), negative))

    def unknown(self, name: str, path: str) -> InvalidFilter:
        known = ", ".join(sorted(self.rules.operators))
        return _invalid(f"one of the operators {known}", _show(name), path)


def _all(children: list[Filter]) -> Filter:
    if not children:
        return EVERYTHING
    return children[0] if len(children) == 1 else And(tuple(children))


def _invalid(expected: str, got: str, path: str, *, advice: str = "") -> InvalidFilter:
    return InvalidFilter(f"Expected {expected}, got {got} - at `{path}`" + (f"; {advice}" if advice else ""), path=path)


def _show(value: object) -> str:
    """A short name of any value; it never descends into containers, which may be deep or cyclic."""
    value = _plain(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return repr(value if len(value) <= 40 else value[:40] + "…")
    if isinstance(value, int):
        return str(value) if value.bit_length() <= 128 else f"an integer of {value.bit_length()} bits"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, Mapping):
        return "an object"
    return "a list" if isinstance(value, (list, tuple)) else type(value).__name__


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value


def _encodable(value: object) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    return dict(value) if isinstance(value, Mapping) else _plain(value)


def _check_name(name: object, path: str) -> None:
    if not isinstance(name, str):
        raise _invalid("a text key", _show(name), path)
    _check_text(name, path)


def _check_text(text: str, path: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _invalid("Unicode text", "a lone surrogate", path) from None
    return text


def _scalar(value: object, path: str) -> Scalar:
    value = _plain(value)
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _check_text(value, path)
    if isinstance(value, (int, float)):
        return _finite(value, path)
    raise _invalid("a string, number or boolean", _show(value), path)


def _number(value: object, path: str) -> int | float:
    value = _plain(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _finite(value, path)
    raise _invalid("a number", _show(value), path)


def _finite(value: int | float, path: str) -> int | float:
    finite = value.bit_length() <= 1024 if isinstance(value, int) else math.isfinite(value)
    if not finite:
        raise _invalid("a finite number in the range of a double", _show(value), path)
    return value


def _items(operand: object, expected: str, path: str) -> list[Any] | tuple[Any, ...]:
    if isinstance(operand, np.ndarray) and operand.ndim == 1:
        operand = operand.tolist()
    if not isinstance(operand, (list, tuple)):
        raise _invalid(expected, _show(operand), path)
    if not operand:
        raise _invalid(expected, "an empty one", path)
    return operand


def to_json(filter: Filter) -> dict[str, Any]:  # noqa: A002 - the word for it everywhere in this package
    """A document that `parse_filter` reads as a filter of the same meaning under the native rules.

    Every object in it has one key, so it satisfies the strict shape too, except that EVERYTHING is `{}`.

    Raises:
        InvalidFilter: the language has no words for it: the complement of a comparison or of a prefix, or a field whose
            name begins with `$`.
    """
    match filter:
        case Eq():
            return _written(filter.field, "$eq", filter.value)
        case In(values=()):
            return _nothing(filter.field)
        case In():
            return _written(filter.field, "$in", list(filter.values))
        case Compare():
            return _written(filter.field, f"${filter.operator}", filter.value)
        case StartsWith():
            return _written(filter.field, "$startsWith", filter.prefix)
        case Exists():
            return _written(filter.field, "$exists", True)
        case And():
            documents = [document for child in filter.children if (document := to_json(child))]
            return {"$and": documents} if documents else {}
        case Or(children=()):
            return _nothing("")
        case Or():
            documents = [to_json(child) for child in filter.children]
            return {"$or": documents} if all(documents) else {}
        case Not():
            return _complement(filter.child)


def _complement(child: Filter) -> dict[str, Any]:
    match child:
        case Eq():
            return _written(child.field, "$ne", child.value)
        case In(values=()):
            return {}
        case In():
            return _written(child.field, "$nin", list(child.values))
        case Exists():
            return _written(child.field, "$exists", False)
        case And():
            return to_json(Or(tuple(Not(part) for part in child.children)))
        case Or():
            return to_json(And(tuple(Not(part) for part in child.children)))
        case Not():
            return to_json(child.child)
        case Compare() | StartsWith():
            name = f"${child.operator}" if isinstance(child, Compare) else "$startsWith"
            path = f"filter.{child.field}.{name}"
            raise _invalid("a filter that the JSON language can say", f"the complement of {name}", path)


def _written(field: str, name: str, operand: object) -> dict[str, Any]:
    if field.startswith("$"):
        raise _invalid("a field name that JSON filters can tell from an operator", _show(field), f"filter.{field}")
    return {field: {name: operand}}


def _nothing(field: str) -> dict[str, Any]:
    return {"$and": [_written(field, "$exists", True), _written(field, "$exists", False)]}
