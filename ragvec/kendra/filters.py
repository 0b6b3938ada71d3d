"""Kendra's AttributeFilter compiled to the filter AST.

Where Kendra documents nothing, this holds: several operators in one filter object are a conjunction; a condition on a
field that a document lacks is false, and a NotFilter around it true; text compares exactly, dates at full precision;
EqualsTo with a list holds when the field has all of its texts; an empty filter, or an empty AndAllFilters, restricts
nothing, while an empty OrAllFilters is refused, lest a list of groups that came out empty opens everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ragvec.errors import InvalidFilter, InvalidRequest
from ragvec.filters.nodes import And, Compare, Eq, Filter, In, Not, Operator, Or
from ragvec.kendra.access import allowed, not_denied, principals
from ragvec.kendra.attributes import Schema, operand, read_strings, read_value
from ragvec.kendra.limits import Limits
from ragvec.kendra.problems import shown, unexpected

__all__ = ["compile_filter", "leaves"]

_COMPARISONS: dict[str, Operator] = {
    "GreaterThan": "gt",
    "GreaterThanOrEquals": "gte",
    "LessThan": "lt",
    "LessThanOrEquals": "lte",
}
_CONDITIONS = ("EqualsTo", "ContainsAll", "ContainsAny", *_COMPARISONS)
_NESTING = ("AndAllFilters", "OrAllFilters", "NotFilter")
_TYPES_OF = {
    "ContainsAll": ("STRING_LIST_VALUE",),
    "ContainsAny": ("STRING_LIST_VALUE",),
    **dict.fromkeys(_COMPARISONS, ("LONG_VALUE", "DATE_VALUE", "DOUBLE")),
}


def compile_filter(
    attribute_filter: Mapping[str, Any] | None, *, schema: Schema, limits: Limits, path: str = "AttributeFilter"
) -> Filter:
    """The AST that holds for the passages of exactly those documents that satisfy the filter; None restricts nothing.

    Principals named by `_user_id` and `_group_ids` see what their condition allows, and never a document that denies
    one of them, wherever in the filter the condition stands.

    Raises:
        InvalidFilter: unknown operator, wrong operand or value type, unknown field, too deep, too many members.
    """
    compiler = _Compiler(schema, limits)
    raw: object = {} if attribute_filter is None else attribute_filter
    try:
        compiled = compiler.node(raw, level=0, negated=False, path=path)
    except InvalidFilter:
        raise
    except InvalidRequest as error:
        raise InvalidFilter(error.message, path=error.path) from error
    if not compiler.principals:
        return compiled
    return And((compiled, not_denied(compiler.principals)))


def leaves(where: Filter) -> Iterator[Filter]:
    """The conditions on single fields that a filter consists of."""
    if isinstance(where, (And, Or)):
        for child in where.children:
            yield from leaves(child)
    elif isinstance(where, Not):
        yield from leaves(where.child)
    else:
        yield where


class _Compiler:
    """One compilation; gathers the principals that the filter names."""

    def __init__(self, schema: Schema, limits: Limits) -> None:
        self.schema, self.limits = schema, limits
        self.principals: list[str] = []

    def node(self, raw: object, *, level: int, negated: bool, path: str) -> Filter:
        """The filter object `raw`, which `level` And, Or and Not filters enclose."""
        if not isinstance(raw, Mapping):
            raise unexpected("a filter object", shown(raw), path=path)
        parts: list[Filter] = []
        for operator, content in raw.items():
            if content is None:
                continue
            place = f"{path}.{operator}"
            if operator in _NESTING:
                parts.append(self.nested(operator, content, level=level, negated=negated, path=place))
            elif operator in _CONDITIONS:
                parts.append(self.condition(operator, content, negated=negated, path=place))
            else:
                known = ", ".join((*_NESTING, *_CONDITIONS))
                raise InvalidFilter(f"Unknown operator {shown(operator)} - at `{path}`; known are {known}", path=path)
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def nested(self, operator: str, content: object, *, level: int, negated: bool, path: str) -> Filter:
        most = self.limits.filter_depth
        if level >= most:
            raise InvalidFilter(f"AttributeFilter cannot have a depth of more than {most}.", path=path)
        if operator == "NotFilter":
            return Not(self.node(content, level=level + 1, negated=True, path=path))
        if not isinstance(content, (list, tuple)):
            raise unexpected("a list of filter objects", shown(content), path=path)
        longest = self.limits.filter_members
        if longest is not None and len(content) > longest:
            raise InvalidFilter(f"AttributeFilter cannot have a length of more than {longest}", path=path)
        children = tuple(
            self.node(child, level=level + 1, negated=negated, path=f"{path}[{i}]") for i, child in enumerate(content)
        )
        if operator == "AndAllFilters":
            return And(children)
        if not children:
            raise unexpected("at least one filter object", "an empty list", path=path)
        return Or(children)

    def condition(self, operator: str, content: object, *, negated: bool, path: str) -> Filter:
        if not isinstance(content, Mapping) or not isinstance(content.get("Key"), str) or "Value" not in content:
            raise unexpected("an object with Key and Value", shown(content), path=path)
        unknown = content.keys() - {"Key", "Value"}
        if unknown:
            raise InvalidFilter(f"Unknown member {shown(min(map(str, unknown)))} - at `{path}`", path=path)
        name, value = content["Key"], content["Value"]
        if name in ("_user_id", "_group_ids"):
            return self.principal(name, operator, value, negated=negated, path=path)
        value_path = f"{path}.Value"
        member, read = read_value(value, path=value_path, limits=self.limits)
        if name == "_document_id":
            if operator != "EqualsTo" or not isinstance(read, str) or member != "StringValue":
                raise InvalidFilter(
                    f"The key _document_id takes EqualsTo with StringValue only - at `{path}`", path=path
                )
            return Eq(name, read)
        field = self.schema.field(name, path=f"{path}.Key")
        fitting = _TYPES_OF.get(operator)
        if fitting is not None and field.type not in fitting:
            raise InvalidFilter(
                f"{operator} needs a field of type {' or '.join(fitting)}; {name!r} is of type {field.type} - at "
                f"`{path}`",
                path=path,
            )
        wanted = operand(field, member, read, path=value_path)
        if operator in _COMPARISONS:
            return Compare(name, _COMPARISONS[operator], wanted)
        if operator == "ContainsAny":
            return In(name, wanted)
        if isinstance(wanted, tuple):
            return And(tuple(Eq(name, text) for text in wanted))
        return Eq(name, wanted)

    def principal(self, name: str, operator: str, value: object, *, negated: bool, path: str) -> Filter:
        """A condition on who is asking: `_user_id` EqualsTo a text, `_group_ids` EqualsTo a list of them."""
        member = "StringValue" if name == "_user_id" else "StringListValue"
        if operator != "EqualsTo" or not isinstance(value, Mapping) or list(value) != [member]:
            raise InvalidFilter(f"The key {name} takes EqualsTo with {member} only - at `{path}`", path=path)
        if negated:
            raise InvalidFilter(f"The key {name} says who is asking and cannot be negated - at `{path}`", path=path)
        texts = [value[member]] if name == "_user_id" else value[member]
        read = read_strings(texts, path=f"{path}.Value.{member}", limits=self.limits, most=self.limits.principals)
        names = principals(read[0], ()) if name == "_user_id" else principals(None, read)
        self.principals.extend(names)
        return allowed(names)
