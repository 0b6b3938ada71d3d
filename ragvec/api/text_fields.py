"""The text-search fields of an index: which metadata keys its text search covers, and in which language."""

from __future__ import annotations

from collections.abc import Sequence

from ragvec.api.access import Session, index_spec
from ragvec.api.buckets import DEFAULT_MODE
from ragvec.api.constraints import Constraints
from ragvec.api.requests import TextSearchConfiguration, TextSearchKey, UpdateMetadataConfiguration
from ragvec.api.responses import ArnOfIndex, TextSearchField
from ragvec.engine.protocol import IndexSpec, TextField
from ragvec.errors import InvalidRequest, TextFieldExists, TextFieldNotFound
from ragvec.text.analyzers import LANGUAGES, analyzer

__all__ = ["check_text_fields", "check_text_mode", "text_search_fields", "update_metadata_configuration"]

_NAME = "textSearchConfigurations"
_STATUSES = ("ACTIVE", "BUILDING")


def update_metadata_configuration(session: Session, request: UpdateMetadataConfiguration) -> ArnOfIndex:
    """Add text fields or delete some, all or none.

    Raises:
        BucketNotFound, IndexNotFound. TextFieldExists: one to add is there. TextFieldNotFound: one to delete is not.
        InvalidRequest: a rule is broken. MissingExtra: the library of a language is not installed.
    """
    if (request.add is None) == (request.delete is None):
        raise InvalidRequest("Must specify either add or delete but not both")
    if request.add is not None:
        fields = check_text_fields(session, request.add.text_search_configurations or [], parent="/add")
        keys = []
    else:
        assert request.delete is not None
        fields, keys = (), _check_removal(session, request.delete.text_search_configurations)
    spec = index_spec(session, request)
    check_text_mode(session, spec.index_mode, "UpdateMetadataConfiguration")

    def change(present: tuple[TextField, ...]) -> tuple[TextField, ...]:
        return _added(session, present, fields) if fields else _removed(present, keys)

    if fields or keys:
        session.engine.catalog.change_text_fields(spec.uid, change)
    return ArnOfIndex(index_arn=session.arn_of(spec))


def check_text_fields(
    session: Session, given: Sequence[TextSearchConfiguration], *, parent: str
) -> tuple[TextField, ...]:
    """The fields that a request names under `parent`.

    Raises:
        InvalidRequest: a key, its language or their number breaks a rule, or a key is named twice.
        MissingExtra: the library of a language is not installed.
    """
    place, limits = f"{parent}/{_NAME}", session.dialect.limits
    constraints = Constraints(hints=session.dialect.hints)
    constraints.length(place, given, low=0, high=limits.text_fields)
    for i, field in enumerate(given):
        constraints.length(f"{place}/{i}/metadataKey", field.metadata_key, low=1, high=limits.text_key_max)
        constraints.unicode(f"{place}/{i}/metadataKey", field.metadata_key)
        constraints.one_of(f"{place}/{i}/language", field.language, LANGUAGES)
        constraints.one_of(f"{place}/{i}/status", field.status, _STATUSES)
    constraints.check()
    _check_distinct([field.metadata_key for field in given], place=place)
    for language in {field.language for field in given}:
        analyzer(language)
    return tuple(TextField(field.metadata_key, field.language) for field in given)


def check_text_mode(session: Session, mode: str | None, subject: str) -> None:
    """Raise InvalidRequest unless an index of this mode ("" or None: the usual one) has text search, which `subject`
    asks for."""
    if (mode or DEFAULT_MODE) not in session.dialect.text_search:
        needed = " or ".join(session.dialect.text_search)
        raise InvalidRequest(f"{subject} requires an index of mode {needed}, got {mode or DEFAULT_MODE}")


def text_search_fields(session: Session, spec: IndexSpec) -> list[TextSearchField]:
    """The fields of an index with their status, in the order in which they were given."""
    fields = session.engine.catalog.text_fields(spec.uid) if session.dialect.text_search else ()
    if not fields:
        return []
    status = session.engine.index(spec).text_status()
    return [
        TextSearchField(metadata_key=field.key, language=field.language, status=status.get(field.key, "BUILDING"))
        for field in fields
    ]


def _check_removal(session: Session, given: Sequence[TextSearchKey] | None) -> list[str]:
    place, limits = f"/delete/{_NAME}", session.dialect.limits
    constraints = Constraints(hints=session.dialect.hints)
    constraints.required(place, given)
    constraints.length(place, given, low=1, high=limits.text_fields)
    keys = [field.metadata_key for field in given or ()]
    for i, key in enumerate(keys):
        constraints.length(f"{place}/{i}/metadataKey", key, low=1, high=limits.text_key_max)
    constraints.check()
    _check_distinct(keys, place=place)
    return keys


def _check_distinct(keys: Sequence[str], *, place: str) -> None:
    if len(set(keys)) < len(keys):
        repeated = next(key for i, key in enumerate(keys) if key in keys[:i])
        raise InvalidRequest(f"{_NAME} names {repeated!r} twice", path=place)


def _added(session: Session, present: tuple[TextField, ...], more: tuple[TextField, ...]) -> tuple[TextField, ...]:
    there = {field.key for field in present}
    for field in more:
        if field.key in there:
            raise TextFieldExists("The metadata key is configured for text search already", subject=repr(field.key))
    most = session.dialect.limits.text_fields
    if most is not None and len(present) + len(more) > most:
        raise InvalidRequest(
            f"An index has at most {most} {_NAME}; it has {len(present)}, {len(more)} more were given",
            path=f"/add/{_NAME}",
        )
    return present + more


def _removed(present: tuple[TextField, ...], keys: Sequence[str]) -> tuple[TextField, ...]:
    there = {field.key for field in present}
    for key in keys:
        if key not in there:
            raise TextFieldNotFound("The metadata key is not configured for text search", subject=repr(key))
    return tuple(field for field in present if field.key not in keys)
