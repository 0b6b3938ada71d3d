"""The relevance that a request gives to fields."""

from __future__ import annotations

from ragvec.errors import InvalidRequest
from ragvec.kendra.attributes import Field, Schema
from ragvec.kendra.limits import Limits
from ragvec.kendra.problems import unexpected
from ragvec.kendra.request.members import objects
from ragvec.kendra.tuned import Override, Relevance, read_relevance

__all__ = ["check_tuned", "read_overrides"]

_PATH = "DocumentRelevanceOverrideConfigurations"


def read_overrides(value: object, *, schema: Schema, limits: Limits) -> tuple[Override, ...]:
    """Kendra's `DocumentRelevanceOverrideConfigurations`, each field once.

    Raises:
        InvalidRequest: a field is unknown, named twice, or of a type that a member does not apply to.
    """
    if value is None:
        return ()
    entries = objects(value, path=_PATH, members=frozenset({"Name", "Relevance"}), key="Name")
    if limits.overrides is not None and len(entries) > limits.overrides:
        raise unexpected(f"at most {limits.overrides} fields", len(entries), path=_PATH)
    overrides: dict[str, Override] = {}
    for i, entry in enumerate(entries):
        path = f"{_PATH}[{i}]"
        field = schema.field(entry["Name"], path=f"{path}.Name")
        if field.name in overrides:
            raise InvalidRequest(f"The field {field.name!r} is there twice - at `{path}.Name`", path=f"{path}.Name")
        relevance = read_relevance(entry.get("Relevance"), path=f"{path}.Relevance")
        check_tuned(field, relevance, path=f"{path}.Relevance")
        overrides[field.name] = Override(field.name, relevance)
    return tuple(overrides.values())


def check_tuned(field: Field, relevance: Relevance, *, path: str) -> None:
    """Raise InvalidRequest if a member does not apply to a field of this type.

    Freshness and Duration are for dates, RankOrder for dates and numbers, ValueImportanceMap for text. Members that
    change nothing (Freshness false) are accepted anywhere.
    """
    wrong = None
    if (relevance.freshness or relevance.duration is not None) and field.type != "DATE_VALUE":
        wrong = "Freshness" if relevance.freshness else "Duration"
    elif relevance.rank_order is not None and field.type not in ("DATE_VALUE", "LONG_VALUE", "DOUBLE"):
        wrong = "RankOrder"
    elif relevance.values and field.type not in ("STRING_VALUE", "BOOLEAN"):
        wrong = "ValueImportanceMap"
    if wrong is not None:
        message = f"{wrong} does not apply to the field {field.name!r}, of type {field.type} - at `{path}.{wrong}`"
        raise InvalidRequest(message, path=f"{path}.{wrong}")
