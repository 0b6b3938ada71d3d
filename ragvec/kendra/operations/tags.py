"""Tags of indexes and of what belongs to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ragvec.errors import ResourceNotFound
from ragvec.kendra.faqs.stored import faq_of
from ragvec.kendra.learn.blocked import BLOCK_LISTS
from ragvec.kendra.learn.featured import featured_set
from ragvec.kendra.learn.thesaurus import THESAURI
from ragvec.kendra.notes import Notes
from ragvec.kendra.operations.base import Operations, known
from ragvec.kendra.tags import add_tags, drop_tags, parse_resource, read_tag_keys, read_tags, tags_of

__all__ = ["TAGGING", "TagOperations"]

TAGGING = {
    "list_tags_for_resource": "ListTagsForResource",
    "tag_resource": "TagResource",
    "untag_resource": "UntagResource",
}
"""Their methods, by Kendra's names."""


class TagOperations(Operations):
    """Put tags on indexes, FAQs, thesauri and featured results sets."""

    def tag_resource(self, **members: Any) -> dict[str, Any]:
        """Add tags to the resource ResourceARN, in place of those with the same keys."""
        return self._perform("TagResource", self._tag_resource, members)

    def untag_resource(self, **members: Any) -> dict[str, Any]:
        """Remove the tags TagKeys; those that are not there are passed over."""
        return self._perform("UntagResource", self._untag_resource, members)

    def list_tags_for_resource(self, **members: Any) -> dict[str, Any]:
        """The tags of the resource ResourceARN, in order of key."""
        return self._perform("ListTagsForResource", self._list_tags_for_resource, members)

    def _tag_resource(self, members: Mapping[str, Any]) -> dict[str, Any]:
        given = known(members, "ResourceARN", "Tags", operation="TagResource")
        tags = read_tags(given)
        notes, part = self._resource(given)
        add_tags(notes, tags, part)
        return {}

    def _untag_resource(self, members: Mapping[str, Any]) -> dict[str, Any]:
        given = known(members, "ResourceARN", "TagKeys", operation="UntagResource")
        keys = read_tag_keys(given)
        notes, part = self._resource(given)
        drop_tags(notes, keys, part)
        return {}

    def _list_tags_for_resource(self, members: Mapping[str, Any]) -> dict[str, Any]:
        notes, part = self._resource(known(members, "ResourceARN", operation="ListTagsForResource"))
        return {"Tags": [{"Key": key, "Value": value} for key, value in tags_of(notes, part).items()]}

    def _resource(self, members: Mapping[str, Any]) -> tuple[Notes, str]:
        resource = parse_resource(members.get("ResourceARN"))
        notes = Notes(self._index(resource.index_id, path="ResourceARN").index)
        kind, _, identity = resource.part.partition("/")
        if kind in _FOUND:
            _FOUND[kind](notes, identity)
        elif kind and not tags_of(notes, resource.part):
            raise ResourceNotFound(f"The index has no tagged resource {resource.part!r} - at `ResourceARN`")
        return notes, resource.part


_FOUND: dict[str, Callable[[Notes, str], object]] = {
    "faq": faq_of,
    "featured-results-set": featured_set,
    "query-suggestions-block-list": BLOCK_LISTS.one,
    "thesaurus": THESAURI.one,
}
"""What raises ResourceNotFound for something of an index that is not there, by its kind."""
