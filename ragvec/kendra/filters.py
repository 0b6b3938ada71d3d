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
from ragvec.kendra.access.lists import is_access_field, principals
from ragvec.kendra.access.rules import PLAIN, Rules
from ragvec.kendra.attributes import Schema, operand, read_strings, read_value
from ragvec.kendra.limits import Limits
from ragvec.kendra.problems import shown, unexpected

__all__ = ["compile_filter", "leaves", "names_callers"]

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
    attribute_filter: Mapping[str, Any] | None,
    *,
    schema: Schema,
    limits: Limits,
    rules: Rules = PLAIN,
    path: str = "AttributeFilter",
) -> Filter:
    """The AST that holds for the passages of exactly those documents that satisfy the filter; None restricts nothing.

    Principals named by `_user_id` and `_group_ids` see what their condition allows under the access `rules` of the
    index, and never a document that denies one of them, wherever in the filter the condition stands. Those named by
    several members of one OrAllFilters are one caller: who is in one level of a hierarchical access list as a user and
    in another by a group is let through.

    Raises:
        InvalidFilter: unknown operator, wrong operand or value type, unknown field, too deep, too many members.
    """
    compiler = _Compiler(schema, limits, rules)
    raw: object = {} if attribute_filter is None else attribute_filter
    try:
        compiled = compiler.node(raw, level=0, negated=False, path=path)
    except InvalidFilter:
        raise
    except InvalidRequest as error:
        raise InvalidFilter(error.message, path=error.path) from error
    if not compiler.principals:
        return compiled
    return And((compiled, rules.not_denied(compiler.principals)))


def names_callers(where: Filter) -> bool:
    """Whether a compiled filter, or a part of one, says who is asking: then it restricts all of a response."""
    return any(is_access_field(getattr(leaf, "field", "")) for leaf in leaves(where))


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

    def __init__(self, schema: Schema, limits: Limits, rules: Rules) -> None:
        self.schema, self.limits, self.rules = schema, limits, rules
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
        children: list[Filter] = []
        names: list[str] = []
        for i, child in enumerate(content):
            if operator == "OrAllFilters" and _asks(child):
                key, value = child["EqualsTo"]["Key"], child["EqualsTo"]["Value"]
                names += self.named(key, "EqualsTo", value, negated=negated, path=f"{path}[{i}].EqualsTo")
            else:
                children.append(self.node(child, level=level + 1, negated=negated, path=f"{path}[{i}]"))
        if operator == "AndAllFilters":
            return And(tuple(children))
        if names:
            children.append(self.rules.allowed(names))
        if not children:
            raise unexpected("at least one filter object", "an empty list", path=path)
        return Or(tuple(children))

    def condition(self, operator: str, content: object, *, negated: bool, path: str) -> Filter:
        if not isinstance(content, Mapping) or not isinstance(content.get("Key"), str) or "Value" not in content:
            raise unexpected("an object with Key and Value", shown(content), path=path)
        unknown = content.keys() - {"Key", "Value"}
        if unknown:
            raise InvalidFilter(f"Unknown member {shown(min(map(str, unknown)))} - at `{path}`", path=path)
        name, value = content["Key"], content["Value"]
        if name in ("_user_id", "_group_ids"):
            return self.rules.allowed(self.named(name, operator, value, negated=negated, path=path))
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

    def named(self, name: str, operator: str, value: object, *, negated: bool, path: str) -> tuple[str, ...]:
        """The principals of a condition on who is asking: `_user_id` EqualsTo a text, `_group_ids` EqualsTo a list of
        them; with the groups that principal mappings add."""
        member = "StringValue" if name == "_user_id" else "StringListValue"
        if operator != "EqualsTo" or not isinstance(value, Mapping) or list(value) != [member]:
            raise InvalidFilter(f"The key {name} takes EqualsTo with {member} only - at `{path}`", path=path)
        if negated:
            raise InvalidFilter(f"The key {name} says who is asking and cannot be negated - at `{path}`", path=path)
        texts = [value[member]] if name == "_user_id" else value[member]
        read = read_strings(texts, path=f"{path}.Value.{member}", limits=self.limits, most=self.limits.principals)
        names = self.rules.expand(principals(read[0], ()) if name == "_user_id" else principals(None, read))
        self.principals.extend(names)
        return names


def _asks(node: object) -> bool:
    """Whether a filter object is a condition on who is asking and nothing else."""
    if not isinstance(node, Mapping):
        return False
    given = {name: content for name, content in node.items() if content is not None}
    condition = given.get("EqualsTo")
    return (
        set(given) == {"EqualsTo"}
        and isinstance(condition, Mapping)
        and set(condition) == {"Key", "Value"}
        and condition["Key"] in ("_user_id", "_group_ids")
    )
