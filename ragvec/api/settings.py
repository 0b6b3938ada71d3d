"""What one service lets its users set for a bucket or an index and the others do not know, such as where OSS writes its
access logs: kept among the tags, durable and backed up with them, under names that no tag may have.
"""

from __future__ import annotations

from collections.abc import Mapping

from ragvec.engine.protocol import Catalog

__all__ = ["change_setting", "plain_tags", "setting", "setting_tags"]

_MARK = "#"
"""What their names begin with. Tags are letters, digits, separators and `_.:/=+-@`."""


def setting(catalog: Catalog, name: str, *, bucket: str, index: str | None = None) -> str | None:
    """The text kept under this name, None where there is none. Raises BucketNotFound, IndexNotFound."""
    return catalog.tags(bucket, index).get(_MARK + name)


def change_setting(catalog: Catalog, name: str, value: str | None, *, bucket: str, index: str | None = None) -> None:
    """Keep a text under this name, None removes it; durable on return. Raises BucketNotFound, IndexNotFound."""

    def changed(tags: dict[str, str]) -> dict[str, str]:
        rest = {key: text for key, text in tags.items() if key != _MARK + name}
        return rest if value is None else {**rest, _MARK + name: value}

    catalog.change_tags(bucket, index, changed)


def setting_tags(settings: Mapping[str, str]) -> dict[str, str]:
    """Settings as `Catalog.create_bucket` and `create_index` take them, among the tags."""
    return {_MARK + name: value for name, value in settings.items()}


def plain_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags among these that are tags."""
    return {key: value for key, value in tags.items() if not key.startswith(_MARK)}
