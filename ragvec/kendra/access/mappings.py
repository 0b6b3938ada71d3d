"""Principal mappings: groups with the users and groups in them, so that a request need name its user alone.

Each group is a note of its own. A change says its number, the ordering id; one that is lower than the last applied is
ignored, so that late ones undo nothing. Groups may hold groups, also in a circle. Readers keep what they read until the
revision of the mappings changes; while a change is under way, they keep nothing.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

import msgspec

from ragvec.errors import ResourceNotFound
from ragvec.kendra.access.lists import group_name, user_name
from ragvec.kendra.notes import Notes

__all__ = ["NO_GROUPS", "Applied", "Group", "GroupKey", "Groups", "Mappings", "read_groups"]

_NOTES = "access.groups"
_REVISION = "access.revision"
_LISTED = 10
"""Actions that a group remembers, as many as DescribePrincipalMapping shows."""
_STALE_SECONDS = 60.0
"""A change that is under way for longer was broken off; what it wrote, if anything, is there."""
_CACHED = 32

GroupKey: TypeAlias = "tuple[str | None, str]"
"""A group by the id of its data source, None without one, and its own id."""


class Applied(msgspec.Struct, frozen=True):
    """An action that was applied to a group. Times are epoch seconds."""

    status: Literal["SUCCEEDED", "DELETED"]
    ordering_id: int
    received: float
    updated: float


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """A group and its members; `actions` are those applied last, the newest first. A deleted one has no members."""

    data_source: str | None
    id: str
    users: tuple[str, ...] = ()
    groups: tuple[tuple[str | None, str], ...] = ()
    actions: tuple[Applied, ...] = ()

    @property
    def deleted(self) -> bool:
        """Whether the last action was its deletion."""
        return self.actions[0].status == "DELETED"

    @property
    def ordering_id(self) -> int:
        """The number of the last action."""
        return self.actions[0].ordering_id


class _Revision(msgspec.Struct, frozen=True):
    """Which state the mappings are in, and since when changes are under way, by the change."""

    number: str = ""
    under_way: dict[str, float] = {}


class Groups:
    """Who belongs to which groups, by the names of stored access lists."""

    def __init__(self, groups: Iterable[Group]) -> None:
        parents: dict[str, list[str]] = {}
        for group in groups:
            name = group_name(group.id, group.data_source)
            members = [user_name(user) for user in group.users]
            members += [group_name(member, source) for source, member in group.groups]
            for member in members:
                parents.setdefault(member, []).append(name)
        self._parents = parents

    def __bool__(self) -> bool:
        return bool(self._parents)

    def expand(self, names: Sequence[str]) -> tuple[str, ...]:
        """The names and those of every group they are in, directly or through other groups; each once, given ones
        first, the rest sorted."""
        found = dict.fromkeys(names)
        given = len(found)
        waiting = list(found)
        while waiting:
            for parent in self._parents.get(waiting.pop(), ()):
                if parent not in found:
                    found[parent] = None
                    waiting.append(parent)
        ordered = list(found)
        return (*ordered[:given], *sorted(ordered[given:]))


NO_GROUPS = Groups(())


class Mappings:
    """The principal mappings of one index, kept in its notes."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    def put(
        self,
        key: GroupKey,
        *,
        users: Sequence[str],
        groups: Sequence[GroupKey],
        ordering_id: int | None = None,
    ) -> bool:
        """Give a group these members in place of those it has. Tells whether that was done: not if a later action came
        first. Without an `ordering_id` it is the time in milliseconds."""
        members = Group(data_source=key[0], id=key[1], users=_sorted(users), groups=_sorted_keys(groups))
        return self._apply(members, status="SUCCEEDED", ordering_id=ordering_id)

    def delete(self, key: GroupKey, *, ordering_id: int | None = None) -> bool:
        """Take its members from a group, as `put` does. Raises ResourceNotFound: nobody ever put it."""
        self.get(key)
        return self._apply(Group(data_source=key[0], id=key[1]), status="DELETED", ordering_id=ordering_id)

    def get(self, key: GroupKey) -> Group:
        """The group, also a deleted one. Raises ResourceNotFound: nobody ever put it."""
        group = self._notes.read(f"{_NOTES}/{_entry(key)}", Group)
        if group is None:
            where = "" if key[0] is None else f" of the data source {key[0]!r}"
            raise ResourceNotFound(f"The index has no mapping of the group {key[1]!r}{where} - at `GroupId`")
        return group

    def all(self) -> list[Group]:
        """All groups that are not deleted, in order of data source and id."""
        found = [group for group in self._notes.journal(_NOTES, Group).values() if not group.deleted]
        return sorted(found, key=lambda group: (group.data_source or "", group.id))

    def _apply(self, members: Group, *, status: Literal["SUCCEEDED", "DELETED"], ordering_id: int | None) -> bool:
        received = time.time()
        number = int(received * 1000) if ordering_id is None else ordering_id
        done = False

        def change(known: Group | None) -> Group | None:
            nonlocal done
            done = known is None or number >= known.ordering_id
            if not done:
                return known
            action = Applied(status, number, received, max(received, time.time()))
            earlier = () if known is None else known.actions
            return msgspec.structs.replace(members, actions=(action, *earlier)[:_LISTED])

        change_id = os.urandom(8).hex()
        self._mark(change_id, received)
        try:
            self._notes.change(f"{_NOTES}/{_entry((members.data_source, members.id))}", Group, change)
        finally:
            self._mark(change_id, None)
        return done

    def _mark(self, change_id: str, since: float | None) -> None:
        """Note that a change begins, or that it has ended."""

        def marked(revision: _Revision | None) -> _Revision:
            known = {} if revision is None else revision.under_way
            now = time.time()
            kept = {
                change: begun for change, begun in known.items() if change != change_id and now - begun < _STALE_SECONDS
            }
            if since is not None:
                kept[change_id] = since
            return _Revision(os.urandom(8).hex(), kept)

        self._notes.change(_REVISION, _Revision, marked)


_known: dict[tuple[str, str], Groups] = {}


def read_groups(notes: Notes) -> Groups:
    """Who belongs to which groups of an index, as it is now."""
    revision = notes.read(_REVISION, _Revision)
    if revision is None:
        return NO_GROUPS
    if revision.under_way:
        return Groups(Mappings(notes).all())
    at = (notes.index.uid, revision.number)
    kept = _known.get(at)
    if kept is not None:
        return kept
    groups = Groups(Mappings(notes).all())
    # What was read while a change began is of no certain moment, and not kept.
    if notes.read(_REVISION, _Revision) == revision:
        if len(_known) >= _CACHED:
            _known.clear()
        _known[at] = groups
    return groups


def _entry(key: GroupKey) -> str:
    return hashlib.sha256("\0".join((key[0] or "", key[1])).encode("utf-8", "surrogatepass")).hexdigest()


def _sorted(users: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(set(users)))


def _sorted_keys(groups: Sequence[GroupKey]) -> tuple[GroupKey, ...]:
    return tuple(sorted(set(groups), key=lambda key: (key[0] or "", key[1])))
