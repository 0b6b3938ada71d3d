"""The operations on tags."""

from __future__ import annotations

import unicodedata

from ragvec.api.access import Session, resource
from ragvec.api.constraints import Constraints
from ragvec.api.requests import ListTagsForResource, TagResource, UntagResource
from ragvec.api.responses import Empty, Tags
from ragvec.api.settings import plain_tags
from ragvec.errors import InvalidRequest

__all__ = ["check_tags", "list_tags_for_resource", "tag_resource", "untag_resource"]

_PATTERN = r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$"
_MARKS = frozenset("_.:/=+-@")


def tag_resource(session: Session, request: TagResource) -> Empty:
    """Add or replace tags. Raises ResourceNotFound, InvalidRequest."""
    check_tags(request.tags, session)
    target = resource(session, request.resource_arn)

    def merged(tags: dict[str, str]) -> dict[str, str]:
        tags |= request.tags
        _check_count(plain_tags(tags), session)
        return tags

    session.engine.catalog.change_tags(target.bucket, target.index, merged)
    return Empty()


def untag_resource(session: Session, request: UntagResource) -> Empty:
    """Remove tags; absent keys are ignored. Raises ResourceNotFound, InvalidRequest."""
    constraints = Constraints(hints=session.dialect.hints)
    for i, key in enumerate(request.tag_keys):
        constraints.length(f"/tagKeys/{i}", key, low=1, high=session.dialect.limits.tag_key_max)
    constraints.check()
    target = resource(session, request.resource_arn)
    gone = plain_tags(dict.fromkeys(request.tag_keys, "")).keys()
    session.engine.catalog.change_tags(
        target.bucket, target.index, lambda tags: {key: value for key, value in tags.items() if key not in gone}
    )
    return Empty()


def list_tags_for_resource(session: Session, request: ListTagsForResource) -> Tags:
    """Return the tags of a bucket or an index. Raises ResourceNotFound."""
    target = resource(session, request.resource_arn)
    return Tags(tags=plain_tags(session.engine.catalog.tags(target.bucket, target.index)))


def check_tags(tags: dict[str, str], session: Session) -> dict[str, str]:
    """Return `tags`. Raises InvalidRequest when their number, keys or values break a rule."""
    limits = session.dialect.limits
    _check_count(tags, session)
    constraints = Constraints(hints=session.dialect.hints)
    for key, value in tags.items():
        constraints.length("/tags", key, low=1, high=limits.tag_key_max)
        constraints.length(f"/tags/{key}", value, low=0, high=limits.tag_value_max)
        for path, text in (("/tags", key), (f"/tags/{key}", value)):
            if not all(_allowed(character) for character in text):
                constraints.add(path, "Value", f"Member must satisfy regular expression pattern: {_PATTERN}", got=text)
    constraints.check()
    for key in tags:
        if key.startswith("aws:"):
            raise InvalidRequest("System tags cannot be added/updated by requester")
        if key.lower().startswith("aws:"):
            raise InvalidRequest(f'Invalid System Tag: {key} must be prefixed with "aws:" in lowercase.')
    return tags


def _check_count(tags: dict[str, str], session: Session) -> None:
    most = session.dialect.limits.tags
    if len(tags) > most:
        hint = f": at most {most}, got {len(tags)}" if session.dialect.hints else ""
        raise InvalidRequest(f"Too many tags specified{hint}", path="/tags" if session.dialect.hints else "")


def _allowed(character: str) -> bool:
    return character in _MARKS or unicodedata.category(character)[0] in "LZN"
