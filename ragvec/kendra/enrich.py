"""Enrichment of documents as they are put: attributes set, changed or removed where a condition on others holds.

Kendra's inline configurations, in their order, each on what the ones before it have left. A condition on an attribute
that a document does not have holds for the operators NotExists, NotEquals and NotContains, and for no other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from ragvec.errors import InvalidRequest
from ragvec.kendra.attributes import Field, Schema, operand, read_value
from ragvec.kendra.learn.members import choice, flag, mapping, mappings, text
from ragvec.kendra.limits import Limits
from ragvec.kendra.problems import unexpected
from ragvec.pipeline.passages import FILE_TYPE, PAGE_NUMBER

__all__ = ["Enriched", "Rule", "enriched", "read_enrichment"]

_PATH = "CustomDocumentEnrichmentConfiguration"
_RULES = 100
_NAME = 200
_NOT_TARGETS = frozenset({FILE_TYPE, PAGE_NUMBER, "_faq_id"})
_ORDERED = ("LONG_VALUE", "DATE_VALUE", "DOUBLE")
_TEXTS = ("STRING_VALUE", "STRING_LIST_VALUE")


def _contains(have: Any, value: Any) -> bool:
    if isinstance(have, str):
        return str(value) in have
    wanted = value if isinstance(value, (list, tuple)) else [value]
    return set(wanted) <= set(have)


def _begins(have: Any, value: Any) -> bool:
    return any(str(each).startswith(str(value)) for each in ([have] if isinstance(have, str) else have))


_OPERATORS: dict[str, tuple[Callable[[Any, Any], bool], tuple[str, ...]]] = {
    "GreaterThan": (lambda have, value: bool(have > value), _ORDERED),
    "GreaterThanOrEquals": (lambda have, value: bool(have >= value), _ORDERED),
    "LessThan": (lambda have, value: bool(have < value), _ORDERED),
    "LessThanOrEquals": (lambda have, value: bool(have <= value), _ORDERED),
    "Equals": (lambda have, value: bool(have == value), ()),
    "NotEquals": (lambda have, value: bool(have != value), ()),
    "Contains": (_contains, _TEXTS),
    "NotContains": (lambda have, value: not _contains(have, value), _TEXTS),
    "Exists": (lambda _have, _value: True, ()),
    "NotExists": (lambda _have, _value: False, ()),
    "BeginsWith": (_begins, _TEXTS),
}
"""What each operator asks of a value that is there, and the types of field it is for; none for all."""

_OF_ABSENT = frozenset({"NotExists", "NotEquals", "NotContains"})


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One inline configuration: its condition, and what it does where that holds. Values are as stored."""

    name: str | None = None
    operator: str = ""
    value: Any = None
    target: str | None = None
    set_to: Any = None
    remove: bool = False
    drop_content: bool = False

    def holds(self, stored: Mapping[str, Any]) -> bool:
        """Whether the condition holds for a document with these attributes."""
        if self.name is None:
            return True
        if self.name not in stored:
            return self.operator in _OF_ABSENT
        return _OPERATORS[self.operator][0](stored[self.name], self.value)


class Enriched(msgspec.Struct, frozen=True):
    """What a document has after enrichment, and whether its content is still to be put."""

    stored: dict[str, Any]
    content: bool


def enriched(rules: Sequence[Rule], stored: Mapping[str, Any]) -> Enriched:
    """The attributes of a document after all rules; `stored` is not modified."""
    after, content = dict(stored), True
    for rule in rules:
        if not rule.holds(after):
            continue
        content = content and not rule.drop_content
        if rule.target is not None and rule.remove:
            after.pop(rule.target, None)
        elif rule.target is not None:
            after[rule.target] = rule.set_to
    return Enriched(after, content)


def read_enrichment(members: Mapping[str, Any], *, schema: Schema, limits: Limits) -> tuple[Rule, ...]:
    """The rules of Kendra's `CustomDocumentEnrichmentConfiguration` among the members; none where it is not given.

    Raises:
        InvalidRequest: it names a hook (a program of Amazon's cloud), a field that the index does not have, an operator
            or a value that is not for the type of the field.
    """
    if members.get(_PATH) is None:
        return ()
    hooks = ("PreExtractionHookConfiguration", "PostExtractionHookConfiguration")
    given = mapping(members, _PATH, "InlineConfigurations", *hooks, "RoleArn")
    for hook in hooks:
        if hook in given:
            raise InvalidRequest(
                f"{hook} is not supported: change documents before they are put - at `{_PATH}.{hook}`", path=hook
            )
    inline = given.get("InlineConfigurations")
    if inline is None:
        return ()
    reader = _Reader(schema, limits)
    path = f"{_PATH}.InlineConfigurations"
    found = mappings({path: inline}, path, "Condition", "Target", "DocumentContentDeletion", most=_RULES)
    return tuple(reader.rule(each, path=place) for place, each in found)


class _Reader:
    def __init__(self, schema: Schema, limits: Limits) -> None:
        self._schema, self._limits = schema, limits

    def rule(self, given: Mapping[str, Any], *, path: str) -> Rule:
        condition = self._condition(given.get("Condition"), path=f"{path}.Condition")
        action = self._target(given.get("Target"), path=f"{path}.Target")
        drops = flag(given, "DocumentContentDeletion", path=path) if "DocumentContentDeletion" in given else False
        if "target" not in action and not drops:
            raise unexpected("a Target or DocumentContentDeletion", "neither", path=path)
        return Rule(**condition, **action, drop_content=drops)

    def _condition(self, given: object, *, path: str) -> dict[str, Any]:
        if given is None:
            return {}
        members = mapping({path: given}, path, "ConditionDocumentAttributeKey", "Operator", "ConditionOnValue")
        field = self._field(members, "ConditionDocumentAttributeKey", path=path)
        operator = choice(members, "Operator", tuple(_OPERATORS), path=f"{path}.Operator")
        kinds = _OPERATORS[operator][1]
        if kinds and field.type not in kinds:
            raise InvalidRequest(
                f"{operator} is not for the field {field.name!r} of type {field.type} - at `{path}.Operator`", path=path
            )
        about = {"name": field.name, "operator": operator}
        if operator in ("Exists", "NotExists"):
            return about
        return {**about, "value": self._value(field, members.get("ConditionOnValue"), path=f"{path}.ConditionOnValue")}

    def _target(self, given: object, *, path: str) -> dict[str, Any]:
        if given is None:
            return {}
        key, value, deletion = (
            "TargetDocumentAttributeKey", "TargetDocumentAttributeValue", "TargetDocumentAttributeValueDeletion",
        )  # fmt: skip
        members = mapping({path: given}, path, key, value, deletion)
        if not members:
            return {}
        field = self._field(members, key, path=path)
        if field.name in _NOT_TARGETS:
            raise InvalidRequest(f"The attribute {field.name!r} cannot be set - at `{path}.{key}`", path=path)
        remove = flag(members, deletion, path=f"{path}.{deletion}") if deletion in members else False
        if remove == (value in members):
            raise unexpected(f"either {value} or {deletion}", "both" if remove else "neither", path=path)
        if remove:
            return {"target": field.name, "remove": True}
        return {"target": field.name, "set_to": self._value(field, members[value], path=f"{path}.{value}")}

    def _field(self, members: Mapping[str, Any], member: str, *, path: str) -> Field:
        name = text(members, member, most=_NAME, path=f"{path}.{member}")
        return self._schema.field(name, path=f"{path}.{member}")

    def _value(self, field: Field, given: object, *, path: str) -> Any:
        if given is None:
            raise unexpected("a value", "nothing", path=path)
        member, value = read_value(given, path=path, limits=self._limits)
        if field.type == "STRING_LIST_VALUE" and member == "StringValue":  # an element that the list may have
            member, value = "StringListValue", (str(value),)
        fitting = operand(field, member, value, path=path)
        return list(fitting) if isinstance(fitting, tuple) else fitting
