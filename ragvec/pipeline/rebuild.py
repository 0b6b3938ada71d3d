"""Another chunker or model for an index in use: everything is brought into a new index beside it, and then the two
exchange their names in one transaction.

Readers search the old index until that moment and the new one from then on; nobody finds a half-filled one. What was
begun is known by a property of the new index, so that a rebuild that was killed goes on where it was:

    beside has the property, the index not     it is being filled, and is filled on
    the index has the property                 the names were exchanged; only tidying is left
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from ragvec.engine.local.tune import SETTINGS
from ragvec.errors import IndexExists, IndexNotFound, InvalidRequest
from ragvec.pipeline.manifest import Manifest
from ragvec.pipeline.passages import EMBEDDER_PROPERTY, NON_FILTERABLE
from ragvec.pipeline.report import Report
from ragvec.store import Index

__all__ = ["BUILDING_PROPERTY", "DONE_PROPERTY", "Rebuild", "plan_of"]

BUILDING_PROPERTY = "pipeline.rebuild"
"""Index property {"of": uid, "plan": str} of an index that is to take the place of another."""

DONE_PROPERTY = "pipeline.rebuilt"
"""Index property: the plan of the rebuild that made the index."""

_FAQS = "kendra.faqs"
_BESIDE = "-beside"
_NAMED = 3


class Rebuild:
    """The rebuild of `index` in an index `beside` it (None: the name and "-beside").

    `plan` tells what the new index is made with: what was begun with another plan is begun anew.
    """

    def __init__(self, index: Index, *, beside: str | None, plan: str, dimension: int) -> None:
        self.index = index
        self.beside = index.bucket.index(beside or index.name + _BESIDE)
        self._plan, self._dimension = plan, dimension
        if not (index.bucket.exists() and index.exists()):
            raise IndexNotFound("Expected an index to rebuild, got one that does not exist yet", subject=index.name)

    def run(
        self, fill: Callable[[Index], Report], *, prefix: str, remove_missing: bool, keep_old: bool, switch: bool
    ) -> Report:
        """Fill the index beside by `fill`, let the two exchange their names, and delete the old one.

        Raises InvalidRequest where documents of the old index would be lost; the new one then stays for the next run.
        """
        if self.index.property(BUILDING_PROPERTY) is not None:
            self._tidy(keep_old=keep_old)
            if self.index.property(DONE_PROPERTY) == self._plan:
                return fill(self.index)
        self._begin()
        report = fill(self.beside)
        if not switch:
            return report
        lost = self._lost(prefix, remove_missing=remove_missing, report=report)
        if lost:
            raise InvalidRequest(
                f"Expected every document of index {self.index.name!r} in index {self.beside.name!r}, which is to take "
                f"its place, got {len(lost):,} that are missing, such as {', '.join(map(repr, lost[:_NAMED]))}: bring "
                "them in too (switch=False for all sources but the last), or say remove_missing=True",
                path="source",
            )
        self._copy_properties()
        self.index.bucket.swap(self.index.name, self.beside.name)
        self._tidy(keep_old=keep_old)
        return report

    def _begin(self) -> None:
        """Make the index beside like the index, unless it was begun already."""
        if any(self.index.property(name) for name in self.index.property_names(prefix=_FAQS)):
            raise InvalidRequest(
                f"Expected an index without FAQs, whose rows belong to the index itself, got {self.index.name!r}: "
                "delete them, and add them again after the rebuild",
                path="index",
            )
        if self.beside.exists():
            begun = self.beside.property(BUILDING_PROPERTY)
            if begun is None:
                raise IndexExists(
                    f"Expected no index {self.beside.name!r} beside {self.index.name!r}, got one that no rebuild "
                    "began: delete it, or name another with beside=",
                    subject=self.beside.name,
                )
            if begun == self._property():
                return
            self.beside.delete_index()
        old = self.index.spec
        self.index.bucket.create_index(
            self.beside.name,
            dimension=self._dimension,
            metric=old.metric,
            non_filterable=old.non_filterable or NON_FILTERABLE,
            text=self.index.text_fields,
        )
        self.beside.set_property(BUILDING_PROPERTY, self._property())

    def _property(self) -> dict[str, str]:
        return {"of": self.index.uid, "plan": self._plan}

    def _lost(self, prefix: str, *, remove_missing: bool, report: Report) -> list[str]:
        """Ids of documents that only the old index has, and that nobody said may go."""
        there = {*Manifest(self.beside.iter())}
        failed = {failure.document_id for failure in report.failed}
        return [
            known
            for known in Manifest(self.index.iter())
            if known not in there
            and not (remove_missing and known.startswith(prefix) and known not in failed and "" not in failed)
        ]

    def _copy_properties(self) -> None:
        """What the owner of the index said of it, but for what belongs to its vectors."""
        for name in self.index.property_names(prefix=""):
            if name not in (EMBEDDER_PROPERTY, SETTINGS, DONE_PROPERTY) and self.beside.property(name) is None:
                self.beside.set_property(name, self.index.property(name), expected=None)
        catalog, bucket = self.index.bucket.store.engine.catalog, self.index.bucket.name
        tags = catalog.tags(bucket, self.index.name)
        catalog.change_tags(bucket, self.beside.name, lambda _: dict(tags))

    def _tidy(self, *, keep_old: bool) -> None:
        """After the names were exchanged: the new index is an ordinary one, and the old one goes."""
        begun: Any = self.index.property(BUILDING_PROPERTY)
        if not keep_old and self.beside.exists() and self.beside.uid == begun["of"]:
            self.beside.delete_index()
        self.index.set_property(DONE_PROPERTY, begun["plan"])
        self.index.set_property(BUILDING_PROPERTY, None)


def plan_of(embedder: str, chunker: str) -> str:
    """The text that stands for what an index is made with."""
    return msgspec.json.encode([embedder, chunker]).decode()
