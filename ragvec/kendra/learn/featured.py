"""Featured results sets: documents that stand above the results of the queries listed with them.

A set is featured where the whole query equals one of its texts, after lower case and white space reduced to one space,
trimmed at both ends. A text belongs to one set of an index at most, whether that set is active or not.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import msgspec

from ragvec.errors import QuotaExceeded, ResourceNotFound
from ragvec.kendra.errors import FeaturedResultsConflict
from ragvec.kendra.learn.members import CLIENT_TOKEN, choice, mappings, text, texts
from ragvec.kendra.limits import KENDRA, Limits
from ragvec.kendra.notes import Notes
from ragvec.kendra.problems import shown, unexpected

__all__ = [
    "FeaturedSet",
    "change_set",
    "create_set",
    "delete_set",
    "featured_documents",
    "featured_set",
    "featured_sets",
    "normal_query",
]

_NOTE = "featured"
_NAME = r"[a-zA-Z0-9][ a-zA-Z0-9_-]*"
_STATUS = ("ACTIVE", "INACTIVE")

Clock: TypeAlias = Callable[[], float]
Status: TypeAlias = Literal["ACTIVE", "INACTIVE"]


class FeaturedSet(msgspec.Struct, frozen=True, kw_only=True):
    """One set. `queries` are as given; `documents` are ids, in the order in which they are shown."""

    id: str
    name: str
    description: str | None = None
    status: Status = "ACTIVE"
    queries: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    created: int
    updated: int
    token: str | None = None


class _Sets(msgspec.Struct, frozen=True):
    sets: tuple[FeaturedSet, ...] = ()


def normal_query(query: str) -> str:
    """A query as queries are compared: lower case, white space reduced to single spaces, none at the ends."""
    return " ".join(query.lower().split())


def featured_documents(notes: Notes, query: str) -> tuple[str, ...]:
    """The ids of the documents featured for this query, in listed order; none where no active set lists it."""
    wanted = normal_query(query)
    for each in _read(notes).sets if wanted else ():
        if each.status == "ACTIVE" and any(normal_query(listed) == wanted for listed in each.queries):
            return each.documents
    return ()


def featured_sets(notes: Notes) -> tuple[FeaturedSet, ...]:
    """Every set of the index, oldest first."""
    return _read(notes).sets


def featured_set(notes: Notes, set_id: str) -> FeaturedSet:
    """The set with this id. Raises ResourceNotFound."""
    return _one(_read(notes), set_id)


def create_set(
    notes: Notes, members: Mapping[str, Any], *, limits: Limits = KENDRA, clock: Clock = time.time
) -> FeaturedSet:
    """Make a set of Kendra's members; with a ClientToken used before, the set that was made then.

    Raises:
        InvalidRequest: a member breaks its rule. FeaturedResultsConflict: a query text belongs to another set.
        QuotaExceeded: the index has as many sets as it can.
    """
    now = int(clock())
    name = text(members, "FeaturedResultsSetName", most=1000, pattern=_NAME)
    token = text(members, "ClientToken", most=CLIENT_TOKEN) if "ClientToken" in members else None
    blank = FeaturedSet(id=str(uuid.uuid4()), name=name, created=now, updated=now, token=token)
    made = msgspec.structs.replace(blank, **_given(members, limits))

    def add(before: _Sets | None) -> _Sets:
        sets = (before or _Sets()).sets
        if token is not None and any(each.token == token for each in sets):
            return _Sets(sets)
        if limits.featured_sets is not None and len(sets) >= limits.featured_sets:
            raise QuotaExceeded(f"An index has at most {limits.featured_sets} featured results sets")
        _check_texts(made, sets)
        return _Sets((*sets, made))

    after = notes.change(_NOTE, _Sets, add) or _Sets()
    return next(each for each in after.sets if each.id == made.id or (token is not None and each.token == token))


def change_set(
    notes: Notes, set_id: str, members: Mapping[str, Any], *, limits: Limits = KENDRA, clock: Clock = time.time
) -> FeaturedSet:
    """Put the members given in place of the set's, and return what it is now.

    Raises:
        InvalidRequest: a member breaks its rule. ResourceNotFound: there is no such set. FeaturedResultsConflict: a
        query text belongs to another set.
    """
    changes = _given(members, limits)
    if "FeaturedResultsSetName" in members:
        changes["name"] = text(members, "FeaturedResultsSetName", most=1000, pattern=_NAME)

    def change(before: _Sets | None) -> _Sets:
        sets = (before or _Sets()).sets
        changed = msgspec.structs.replace(_one(_Sets(sets), set_id), **changes, updated=int(clock()))
        others = tuple(each for each in sets if each.id != set_id)
        _check_texts(changed, others)
        return _Sets(tuple(changed if each.id == set_id else each for each in sets))

    return _one(notes.change(_NOTE, _Sets, change) or _Sets(), set_id)


def delete_set(notes: Notes, set_id: str) -> None:
    """Remove a set. Raises ResourceNotFound."""

    def remove(before: _Sets | None) -> _Sets:
        sets = before or _Sets()
        _one(sets, set_id)
        return _Sets(tuple(each for each in sets.sets if each.id != set_id))

    notes.change(_NOTE, _Sets, remove)


def _read(notes: Notes) -> _Sets:
    return notes.read(_NOTE, _Sets) or _Sets()


def _one(sets: _Sets, set_id: str) -> FeaturedSet:
    for each in sets.sets:
        if each.id == set_id:
            return each
    raise ResourceNotFound(f"There is no featured results set with the id {shown(set_id)}")


def _given(members: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    """What the members say of a set, less its name."""
    given: dict[str, Any] = {}
    if "Description" in members:
        given["description"] = text(members, "Description", least=0, most=1000, printable=True)
    if "Status" in members:
        given["status"] = choice(members, "Status", _STATUS)
    if "QueryTexts" in members:
        given["queries"] = texts(members, "QueryTexts", most=limits.featured_queries, shortest=0, longest=1000)
        for i, query in enumerate(given["queries"]):
            if not normal_query(query):
                raise unexpected("a query", "blank text", path=f"QueryTexts[{i}]")
    if "FeaturedDocuments" in members:
        entries = mappings(members, "FeaturedDocuments", "Id", most=limits.featured_documents)
        ids = [text(entry, "Id", most=2048, path=f"{path}.Id") for path, entry in entries]
        given["documents"] = tuple(dict.fromkeys(ids))
    return given


def _check_texts(one: FeaturedSet, others: tuple[FeaturedSet, ...]) -> None:
    """Raise FeaturedResultsConflict where a query of `one` is one of another set."""
    taken = {normal_query(query): other for other in others for query in other.queries}
    conflicts = tuple(
        {"QueryText": query, "SetName": other.name, "SetId": other.id}
        for query in one.queries
        if (other := taken.get(normal_query(query))) is not None
    )
    if conflicts:
        first = conflicts[0]
        raise FeaturedResultsConflict(
            f"The query {shown(first['QueryText'])} belongs to the featured results set {first['SetName']!r} already",
            items=conflicts,
        )
