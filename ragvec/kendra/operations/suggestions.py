"""Suggestions while somebody types, and their settings."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from ragvec.errors import InvalidRequest
from ragvec.filters.nodes import And, Filter
from ragvec.kendra.access import Rules, restriction
from ragvec.kendra.attributes import Field, Schema, kendra_value
from ragvec.kendra.filters import compile_filter
from ragvec.kendra.index import QueryIndex
from ragvec.kendra.learn.members import at, choice, flag, mapping, mappings, text, texts, whole
from ragvec.kendra.learn.suggestions import (
    SUGGESTIBLE,
    Suggestion,
    change_config,
    clear,
    config_of,
    suggested_queries,
    suggested_values,
    suggestible_fields,
    suggestible_queries,
)
from ragvec.kendra.limits import Limits
from ragvec.kendra.notes import Notes
from ragvec.kendra.operations.base import Operations, known
from ragvec.kendra.problems import unexpected
from ragvec.pipeline.passages import DOCUMENT_ID

__all__ = ["SuggestionOperations"]

_CONFIG = "AttributeSuggestionsConfig"
_MODES = ("ENABLED", "LEARN_ONLY")
_ATTRIBUTE_MODES = ("ACTIVE", "INACTIVE")
_TYPES = ("QUERY", "DOCUMENT_ATTRIBUTES")
_MOST_DAYS = 3650
_MOST_USES = 10_000
_NAME = 200


class SuggestionOperations(Operations):
    """Suggest queries and values of attributes."""

    def get_query_suggestions(self, **members: Any) -> dict[str, Any]:
        """What begins as QueryText does: queries of others, or values of attributes."""
        return self._perform("GetQuerySuggestions", self._get_query_suggestions, members)

    def describe_query_suggestions_config(self, **members: Any) -> dict[str, Any]:
        """How suggestions are made, and how many queries there are to suggest."""
        return self._perform("DescribeQuerySuggestionsConfig", self._describe_query_suggestions_config, members)

    def update_query_suggestions_config(self, **members: Any) -> dict[str, Any]:
        """Change how suggestions are made; members that are not given stay as they are."""
        return self._perform("UpdateQuerySuggestionsConfig", self._update_query_suggestions_config, members)

    def clear_query_suggestions(self, **members: Any) -> dict[str, Any]:
        """Suggest nothing that was asked before now."""
        return self._perform("ClearQuerySuggestions", self._clear_query_suggestions, members)

    def _get_query_suggestions(self, members: Mapping[str, Any]) -> dict[str, Any]:
        given = known(
            members,
            "IndexId",
            "QueryText",
            "MaxSuggestionsCount",
            "SuggestionTypes",
            _CONFIG,
            operation="GetQuerySuggestions",
        )
        target = self._index(given.get("IndexId"))
        typed = text(given, "QueryText", least=0, printable=True)
        limits = self.settings.limits
        most = limits.suggestions_default
        if "MaxSuggestionsCount" in given:
            most = whole(given, "MaxSuggestionsCount", least=1, most=limits.suggestions)
        config = mapping(
            given if _CONFIG in given else {_CONFIG: {}},
            _CONFIG,
            "SuggestionAttributes",
            "AdditionalResponseAttributes",
            "AttributeFilter",
            "UserContext",
        )
        suggestions_id = str(uuid.uuid4())
        if _suggestion_type(given) == "QUERY":
            seen = self._seen(target, config)
            suggestions = [
                _rendered(suggestions_id, each)
                for each in suggested_queries(Notes(target.index), typed, seen=seen, most=most)
            ]
        else:
            suggestions = self._values(target, typed, config, suggestions_id=suggestions_id, most=most)
        return {"QuerySuggestionsId": suggestions_id, "Suggestions": suggestions}

    def _seen(self, target: QueryIndex, config: Mapping[str, Any]) -> Filter:
        """What may be seen by whom a query is suggested to. A request for queries has no place for a user of its own,
        so that without one only what everybody may see counts."""
        notes = Notes(target.index)
        if "UserContext" not in config:
            return Rules.of(notes).visible_to(())
        return self._restriction(notes, config)

    def _restriction(self, notes: Notes, config: Mapping[str, Any]) -> Filter:
        settings = self.settings
        path = f"{_CONFIG}.UserContext"
        return restriction(
            config.get("UserContext"), notes=notes, limits=settings.limits, keys=settings.token_keys, path=path
        )

    def _values(
        self, target: QueryIndex, typed: str, config: Mapping[str, Any], *, suggestions_id: str, most: int
    ) -> list[dict[str, Any]]:
        schema, notes = target.schema, Notes(target.index)
        held = config_of(notes)
        names = _attributes(config, schema, notes, limits=self.settings.limits)
        additional: tuple[Field, ...] = ()
        if "AdditionalResponseAttributes" in config:
            path = f"{_CONFIG}.AdditionalResponseAttributes"
            asked = texts(
                config,
                "AdditionalResponseAttributes",
                least=1,
                most=self.settings.limits.suggestion_additions,
                longest=_NAME,
                path=path,
            )
            additional = tuple(schema.field(name, path=path) for name in asked)
        path = f"{_CONFIG}.AttributeFilter"
        rules = Rules.of(notes)
        limits = self.settings.limits
        where = compile_filter(config.get("AttributeFilter"), schema=schema, limits=limits, rules=rules, path=path)
        where = And((where, self._restriction(notes, config)))
        if held.attributes == "INACTIVE":
            return []
        return [
            {
                **_rendered(suggestions_id, value.suggestion),
                "SourceDocuments": [
                    {
                        "DocumentId": metadata[DOCUMENT_ID],
                        "SuggestionAttributes": list(having),
                        "AdditionalAttributes": [
                            {"Key": field.name, "Value": kendra_value(field, metadata[field.name])}
                            for field in additional
                            if metadata.get(field.name) not in (None, "", [])
                        ],
                    }
                    for metadata, having in value.documents
                ],
            }
            for value in suggested_values(target.index, typed, attributes=names, where=where, most=most)
        ]

    def _describe_query_suggestions_config(self, members: Mapping[str, Any]) -> dict[str, Any]:
        given = known(members, "IndexId", operation="DescribeQuerySuggestionsConfig")
        notes = Notes(self._index(given.get("IndexId")).index)
        config = config_of(notes)
        response = {
            "Mode": config.mode,
            "Status": "ACTIVE",
            "QueryLogLookBackWindowInDays": config.days,
            "IncludeQueriesWithoutUserInformation": config.anonymous,
            "MinimumNumberOfQueryingUsers": config.users,
            "MinimumQueryCount": config.count,
            "LastSuggestionsBuildTime": None if config.changed is None else at(config.changed),
            "LastClearTime": None if config.cleared is None else at(config.cleared),
            "TotalSuggestionsCount": suggestible_queries(notes),
            _CONFIG: {
                "SuggestableConfigList": [
                    {"AttributeName": name, "Suggestable": on} for name, on in sorted(config.suggestible.items())
                ],
                "AttributeSuggestionsMode": config.attributes,
            },
        }
        return {name: value for name, value in response.items() if value is not None}

    def _update_query_suggestions_config(self, members: Mapping[str, Any]) -> dict[str, Any]:
        days, anonymous = "QueryLogLookBackWindowInDays", "IncludeQueriesWithoutUserInformation"
        users, count = "MinimumNumberOfQueryingUsers", "MinimumQueryCount"
        given = known(
            members,
            "IndexId",
            "Mode",
            days,
            anonymous,
            users,
            count,
            _CONFIG,
            operation="UpdateQuerySuggestionsConfig",
        )
        target = self._index(given.get("IndexId"))
        changes: dict[str, Any] = {}
        if "Mode" in given:
            changes["mode"] = choice(given, "Mode", _MODES)
        if days in given:
            changes["days"] = whole(given, days, least=1, most=_MOST_DAYS)
        if anonymous in given:
            changes["anonymous"] = flag(given, anonymous)
        if users in given:
            changes["users"] = whole(given, users, least=1, most=_MOST_USES)
        if count in given:
            changes["count"] = whole(given, count, least=1, most=_MOST_USES)
        if _CONFIG in given:
            changes |= _attribute_changes(given, target.schema)
        change_config(Notes(target.index), changes)
        return {}

    def _clear_query_suggestions(self, members: Mapping[str, Any]) -> dict[str, Any]:
        given = known(members, "IndexId", operation="ClearQuerySuggestions")
        clear(Notes(self._index(given.get("IndexId")).index))
        return {}


def _suggestion_type(members: Mapping[str, Any]) -> str:
    if "SuggestionTypes" not in members:
        return _TYPES[0]
    kinds = texts(members, "SuggestionTypes", least=1, most=1)
    return choice({"SuggestionTypes": kinds[0]}, "SuggestionTypes", _TYPES)


def _attributes(config: Mapping[str, Any], schema: Schema, notes: Notes, *, limits: Limits) -> tuple[str, ...]:
    """The attributes whose values are suggested: those asked for, or else all that can be."""
    possible = suggestible_fields(notes, schema)
    if "SuggestionAttributes" not in config:
        return possible
    path = f"{_CONFIG}.SuggestionAttributes"
    names = texts(config, "SuggestionAttributes", least=1, most=limits.suggestion_attributes, longest=_NAME, path=path)
    for name in names:
        field = schema.field(name, path=path)
        if name not in possible:
            why = f"of type {field.type}" if field.type not in SUGGESTIBLE else "not suggestable"
            raise InvalidRequest(
                f"The field {name!r} is {why} - at `{path}`; there are {', '.join(possible) or 'none'}",
                path=path,
            )
    return tuple(dict.fromkeys(names))


def _attribute_changes(members: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    given = mapping(members, _CONFIG, "SuggestableConfigList", "AttributeSuggestionsMode")
    changes: dict[str, Any] = {}
    if "AttributeSuggestionsMode" in given:
        path = f"{_CONFIG}.AttributeSuggestionsMode"
        changes["attributes"] = choice(given, "AttributeSuggestionsMode", _ATTRIBUTE_MODES, path=path)
    if "SuggestableConfigList" in given:
        suggestible = {}
        for place, entry in mappings(given, "SuggestableConfigList", "AttributeName", "Suggestable", most=500):
            path = f"{_CONFIG}.{place}"
            field = schema.field(text(entry, "AttributeName", most=_NAME, path=f"{path}.AttributeName"), path=path)
            on = flag(entry, "Suggestable", path=f"{path}.Suggestable")
            if on and field.type not in SUGGESTIBLE:
                raise unexpected("a field of text or of a list of texts", field.type, path=path)
            suggestible[field.name] = on
        changes["suggestible"] = suggestible
    return changes


def _rendered(suggestions_id: str, suggestion: Suggestion) -> dict[str, Any]:
    return {
        "Id": f"{suggestions_id}-{uuid.uuid5(uuid.UUID(suggestions_id), suggestion.text)}",
        "Value": {
            "Text": {
                "Text": suggestion.text,
                "Highlights": [{"BeginOffset": suggestion.begin, "EndOffset": suggestion.end}],
            }
        },
    }
