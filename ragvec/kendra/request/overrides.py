"""The relevance that a request gives to fields."""

from __future__ import annotations

from ragvec.errors import InvalidRequest
from ragvec.kendra.attributes import Schema
from ragvec.kendra.limits import Limits
from ragvec.kendra.problems import unexpected
from ragvec.kendra.rank.tuning import Tuning, read_relevance
from ragvec.kendra.request.members import objects

__all__ = ["read_overrides"]

_PATH = "DocumentRelevanceOverrideConfigurations"


def read_overrides(value: object, *, schema: Schema, limits: Limits) -> tuple[Tuning, ...]:
    """Kendra's `DocumentRelevanceOverrideConfigurations`, each field once.

    Raises:
        InvalidRequest: a field is unknown or named twice, or its relevance is not as `read_relevance` wants it.
    """
    if value is None:
        return ()
    entries = objects(value, path=_PATH, members=frozenset({"Name", "Relevance"}), key="Name")
    if limits.overrides is not None and len(entries) > limits.overrides:
        raise unexpected(f"at most {limits.overrides} fields", len(entries), path=_PATH)
    overrides: dict[str, Tuning] = {}
    for i, entry in enumerate(entries):
        path = f"{_PATH}[{i}]"
        field = schema.field(entry["Name"], path=f"{path}.Name")
        if field.name in overrides:
            raise InvalidRequest(f"The field {field.name!r} is there twice - at `{path}.Name`", path=f"{path}.Name")
        overrides[field.name] = read_relevance(entry.get("Relevance"), field=field, path=f"{path}.Relevance")
    return tuple(overrides.values())
