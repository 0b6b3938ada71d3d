"""Tags of an index and of what belongs to it, and the resource names (ARNs) that tag operations use.

    arn:aws:kendra:<region>:<account>:index/<id>
    arn:aws:kendra:<region>:<account>:index/<id>/faq/<id>, …/thesaurus/<id> and so on

Region and account are not looked at: an ARN of another place names the same index here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from ragvec.errors import InvalidRequest, QuotaExceeded
from ragvec.kendra.learn.members import mappings, text, texts
from ragvec.kendra.notes import Notes
from ragvec.kendra.problems import shown, unexpected

__all__ = [
    "INDEX",
    "TAGS",
    "Resource",
    "add_tags",
    "drop_tags",
    "parse_resource",
    "read_tag_keys",
    "read_tags",
    "tags_of",
]

INDEX = ""
"""The resource that is the index itself, among those of an index."""

TAGS = 200
"""The most tags of a resource."""

_NOTE = "tags"
_KEY = 128
_VALUE = 256
_ARN = re.compile(r"arn:aws[a-z-]*:kendra:[a-z0-9-]*:[0-9]*:index/([a-zA-Z0-9][a-zA-Z0-9-]{35})(?:/([a-z-]+/[^/]+))?")
_LONGEST_ARN = 1011


class Resource(msgspec.Struct, frozen=True):
    """An index by its id, and what is meant of it: INDEX, or `faq/<id>` and the like."""

    index_id: str
    part: str = INDEX


def parse_resource(arn: object) -> Resource:
    """The resource that an ARN names. Raises InvalidRequest: it is of another form."""
    given = text({"ResourceARN": arn}, "ResourceARN", most=_LONGEST_ARN)
    match = _ARN.fullmatch(given)
    if match is None:
        form = "arn:aws:kendra:<region>:<account>:index/<id>"
        raise unexpected(f"a name of the form {form}", shown(given), path="ResourceARN")
    return Resource(match[1], match[2] or INDEX)


def read_tags(members: Mapping[str, Any]) -> dict[str, str]:
    """Kendra's `Tags` by key; empty where none are given. Raises InvalidRequest."""
    if members.get("Tags") is None:
        return {}
    tags: dict[str, str] = {}
    for path, tag in mappings(members, "Tags", "Key", "Value", most=TAGS):
        key = text(tag, "Key", most=_KEY, path=f"{path}.Key")
        if key in tags:
            raise InvalidRequest(f"The tag {key!r} is there twice - at `{path}.Key`", path=f"{path}.Key")
        tags[key] = text(tag, "Value", least=0, most=_VALUE, path=f"{path}.Value")
    return tags


def read_tag_keys(members: Mapping[str, Any]) -> tuple[str, ...]:
    """Kendra's `TagKeys`. Raises InvalidRequest."""
    return texts(members, "TagKeys", most=TAGS, longest=_KEY)


def tags_of(notes: Notes, part: str = INDEX) -> dict[str, str]:
    """The tags of a resource of the index, in order of key."""
    return dict(sorted((notes.read(_NOTE, _All) or {}).get(part, {}).items()))


def add_tags(notes: Notes, tags: Mapping[str, str], part: str = INDEX) -> None:
    """Add tags to a resource, in place of those with the same keys. Raises QuotaExceeded: it would have too many."""

    def added(all_tags: _All | None) -> _All | None:
        merged = {**(all_tags or {}).get(part, {}), **tags}
        if len(merged) > TAGS:
            raise QuotaExceeded(f"Expected at most {TAGS} tags of a resource, got {len(merged)} - at `Tags`")
        return {**(all_tags or {}), part: merged}

    if tags:
        notes.change(_NOTE, _All, added)


def drop_tags(notes: Notes, keys: tuple[str, ...] | None = None, part: str = INDEX) -> None:
    """Remove these tags of a resource, None for all of them; those it does not have are passed over."""

    def dropped(all_tags: _All | None) -> _All | None:
        tags = {key: value for key, value in (all_tags or {}).get(part, {}).items() if keys and key not in keys}
        rest = {name: other for name, other in (all_tags or {}).items() if name != part}
        return rest | ({part: tags} if tags else {}) or None

    notes.change(_NOTE, _All, dropped)


_All = dict[str, dict[str, str]]
