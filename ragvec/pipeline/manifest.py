"""What an index holds of documents, read from the index itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ragvec.pipeline.passages import DOCUMENT_ID, HASH, PASSAGE, PASSAGES, passage_key
from ragvec.types import Record

__all__ = ["Entry", "Manifest"]


class Entry:
    """The passages of one document: how many of each version (content hash) are there, of how many there should be."""

    __slots__ = ("_numbers", "_versions")

    def __init__(self) -> None:
        self._versions: dict[str, tuple[int, int]] = {}
        self._numbers: dict[str, list[int]] = {}

    def add(self, version: str, number: int, count: int) -> None:
        """Note a passage."""
        there, _ = self._versions.get(version, (0, count))
        self._versions[version] = (there + (number < count), count)
        self._numbers.setdefault(version, []).append(number)

    def has(self, version: str) -> bool:
        """Whether all passages of this version are there."""
        there, count = self._versions.get(version, (0, 1))
        return there == count

    def numbers(self, *, but: str = "") -> list[int]:
        """The numbers of the passages there, without those of the version `but`."""
        return sorted(number for version, numbers in self._numbers.items() if version != but for number in numbers)


class Manifest:
    """The documents in an index, by id."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._entries: dict[str, Entry] = {}
        for record in records:
            metadata = record.metadata or {}
            if DOCUMENT_ID in metadata and PASSAGES in metadata and HASH in metadata:
                entry = self._entries.setdefault(metadata[DOCUMENT_ID], Entry())
                entry.add(metadata[HASH], metadata[PASSAGE], metadata[PASSAGES])

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def get(self, document_id: str) -> Entry | None:
        """What there is of this document, None when there is nothing."""
        return self._entries.get(document_id)

    def keys(self, document_id: str, *, but: str = "") -> list[str]:
        """The keys of its passages there, without those of the version `but`."""
        entry = self._entries.get(document_id)
        return [passage_key(document_id, number) for number in entry.numbers(but=but)] if entry is not None else []
