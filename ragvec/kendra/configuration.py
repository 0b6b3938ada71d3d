"""What CreateIndex and UpdateIndex say of an index: its name, its fields with their flags, whose users it serves.

It is a note of the index. An index that the pipeline made has none until UpdateIndex gives it one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, cast, get_args

import msgspec

from ragvec.errors import InvalidRequest
from ragvec.kendra.attributes import BUILT_IN, Field, Schema, kendra_type
from ragvec.kendra.learn.members import choice, mapping, text, whole
from ragvec.kendra.notes import Notes
from ragvec.kendra.problems import shown, unexpected
from ragvec.pipeline.passages import AttributeType
from ragvec.store import Index

__all__ = ["FIELDS", "NOTE", "Configuration", "configuration_of", "updated_fields", "usual_relevance"]

NOTE = "index"
FIELDS = 500
"""The most fields of an index."""

FieldType: TypeAlias = Literal["STRING_VALUE", "STRING_LIST_VALUE", "LONG_VALUE", "DATE_VALUE"]

_TYPES: tuple[FieldType, ...] = get_args(FieldType)
_FLAGS = ("Facetable", "Searchable", "Displayable", "Sortable")
_LONGEST_NAME = 30
_NAME = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_-]*")
_DURATION = "25920000s"
_ORDERS = ("ASCENDING", "DESCENDING")
_IMPORTANCE = 10
_APPLICABLE: dict[FieldType, tuple[str, ...]] = {
    "STRING_VALUE": ("Importance", "ValueImportanceMap"),
    "STRING_LIST_VALUE": ("Importance",),
    "LONG_VALUE": ("Importance", "RankOrder"),
    "DATE_VALUE": ("Importance", "Freshness", "Duration", "RankOrder"),
}
_HEAVIER = ("_document_title", "_excerpt_page_number")
_BUILT_IN = {field.name: field for field in BUILT_IN}


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """The note. `fields` are those that were configured, all 14 built-in ones among them where CreateIndex made the
    index. The structures of Kendra's that only its users read are kept as they were given.
    """

    name: str
    created: float
    updated: float
    description: str = ""
    role: str = ""
    edition: str = "ENTERPRISE_EDITION"
    policy: Literal["ATTRIBUTE_FILTER", "USER_TOKEN"] = "ATTRIBUTE_FILTER"
    user_tokens: list[dict[str, Any]] = []
    group_resolution: dict[str, Any] = {}
    encryption: dict[str, Any] = {}
    capacity: dict[str, int] = {}
    client_token: str = ""
    fields: dict[str, Field] = {}


def configuration_of(index: Index) -> Configuration | None:
    """What is configured of an index; None where nothing is. Raises IndexNotFound."""
    return Notes(index).read(NOTE, Configuration)


def usual_relevance(field: Field) -> dict[str, Any]:
    """The `Relevance` that a fresh Kendra index shows for a field."""
    kind = kendra_type(field)
    relevance: dict[str, Any] = {"Importance": 2 if field.name in _HEAVIER else 1}
    if kind == "STRING_VALUE":
        relevance["ValueImportanceMap"] = {}
    if kind in ("LONG_VALUE", "DATE_VALUE"):
        relevance["RankOrder"] = "ASCENDING"
    if kind == "DATE_VALUE":
        relevance |= {"Freshness": False, "Duration": _DURATION}
    return relevance


def updated_fields(updates: object, *, configured: Mapping[str, Field], schema: Schema) -> dict[str, Field]:
    """The configured fields after `DocumentMetadataConfigurationUpdates`: new ones added, others changed as far as they
    are given. What an update leaves out stays as it is.

    Raises:
        InvalidRequest: a name, type, flag or relevance breaks its rule; a field would change its type; there would be
            more than 500 fields, or more than one with freshness.
    """
    path = "DocumentMetadataConfigurationUpdates"
    if not isinstance(updates, (list, tuple)):
        raise unexpected("a list of fields", shown(updates), path=path)
    if len(updates) > FIELDS:
        raise unexpected(f"at most {FIELDS} fields", len(updates), path=path)
    fields = dict(configured)
    for number, update in enumerate(updates):
        field = _updated_field(update, fields=fields, schema=schema, path=f"{path}[{number}]")
        fields[field.name] = field
    total = len({*fields, *schema.fields})
    if total > FIELDS:
        raise unexpected(f"at most {FIELDS} fields in an index", total, path=path)
    fresh = sorted(name for name, field in fields.items() if (field.relevance or {}).get("Freshness"))
    if len(fresh) > 1:
        raise InvalidRequest(f"Only one field can have Freshness, got {', '.join(fresh)} - at `{path}`", path=path)
    return fields


def _updated_field(update: Any, *, fields: Mapping[str, Field], schema: Schema, path: str) -> Field:
    given = mapping({path: update}, path, "Name", "Type", "Relevance", "Search")
    name = text(given, "Name", most=_LONGEST_NAME, path=f"{path}.Name")
    kind = cast(FieldType, choice(given, "Type", _TYPES, path=f"{path}.Type"))
    before = fields.get(name) or schema.fields.get(name)
    if before is None:
        _check_name(name, path=f"{path}.Name")
        of_type = cast(AttributeType, kind)
        before = Field(name=name, type=of_type, displayable=True, searchable=of_type == "STRING_VALUE")
    elif kendra_type(before) != kind:
        raise InvalidRequest(
            f"The field {name!r} is of type {kendra_type(before)}, which cannot change: got {kind} - at `{path}.Type`",
            path=f"{path}.Type",
        )
    search = _flags(given.get("Search"), path=f"{path}.Search")
    if search.get("Sortable") and kind == "STRING_LIST_VALUE":
        raise InvalidRequest(f"A list of texts cannot be sorted on - at `{path}.Search.Sortable`", path=path)
    relevance = before.relevance
    if given.get("Relevance"):
        shown_now = relevance or usual_relevance(before)
        relevance = shown_now | _relevance(given["Relevance"], kind=kind, path=f"{path}.Relevance")
    flags = {flag.lower(): value for flag, value in search.items()}
    requestable = before.requestable and "Displayable" not in search
    return msgspec.structs.replace(before, relevance=relevance, requestable=requestable, **flags)


def _check_name(name: str, *, path: str) -> None:
    if not _NAME.fullmatch(name):
        raise unexpected("letters, digits, '_' and '-', not '-' at the beginning", shown(name), path=path)
    if name.startswith("_"):
        raise InvalidRequest(
            f"Only built-in fields begin with '_' ({', '.join(_BUILT_IN)}), got {shown(name)} - at `{path}`", path=path
        )


def _flags(value: object, *, path: str) -> dict[str, bool]:
    if value is None:
        return {}
    given = mapping({path: value}, path, *_FLAGS)
    for flag, content in given.items():
        if not isinstance(content, bool):
            raise unexpected("true or false", shown(content), path=f"{path}.{flag}")
    return given


def _relevance(value: object, *, kind: FieldType, path: str) -> dict[str, Any]:
    """Kendra's `Relevance` as it was given, when its members fit the type of the field."""
    given = mapping({path: value}, path, "Freshness", "Importance", "Duration", "RankOrder", "ValueImportanceMap")
    for member, content in given.items():
        place = f"{path}.{member}"
        # A form filled in by a program names every member; only one that would change something is refused.
        if member not in _APPLICABLE[kind] and content not in (False, {}):
            raise InvalidRequest(f"{member} does not apply to a field of type {kind} - at `{place}`", path=place)
        if member == "Importance":
            whole(given, member, least=1, most=_IMPORTANCE, path=place)
        elif member == "Freshness" and not isinstance(content, bool):
            raise unexpected("true or false", shown(content), path=place)
        elif member == "Duration":
            text(given, member, most=10, pattern="[0-9]+[s]", path=place)
        elif member == "RankOrder":
            choice(given, member, _ORDERS, path=place)
        elif member == "ValueImportanceMap":
            _check_values(content, path=place)
    return {member: content for member, content in given.items() if member in _APPLICABLE[kind]}


def _check_values(value: object, *, path: str) -> None:
    if not isinstance(value, Mapping):
        raise unexpected("a map of values to numbers", shown(value), path=path)
    for key in value:
        if not isinstance(key, str) or not 1 <= len(key) <= 50:
            raise unexpected("values of 1 to 50 characters", shown(key), path=path)
        whole(value, key, least=1, most=_IMPORTANCE, path=f"{path}.{key}")
