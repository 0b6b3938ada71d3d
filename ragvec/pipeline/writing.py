"""Embedding and writing windows of documents, beside whoever loads and splits the next ones."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import msgspec
import numpy as np

from ragvec.errors import InvalidRequest
from ragvec.pipeline.cache import VectorCache
from ragvec.pipeline.documents import Failure
from ragvec.pipeline.embed import embed_texts, passage_text, tokenizer_of
from ragvec.pipeline.manifest import Manifest
from ragvec.pipeline.passages import ATTRIBUTES_PROPERTY, AttributeType, Passage
from ragvec.pipeline.progress import Progress
from ragvec.pipeline.report import STAGES
from ragvec.protocols import Embedder
from ragvec.store import Index
from ragvec.types import FloatMatrix

__all__ = ["Pending", "Tally", "Writer"]

_AHEAD = 2
"""Windows that wait to be embedded or written; with the one that is being filled, what memory has to hold."""


class Pending(msgspec.Struct, frozen=True):
    """A document waiting to be embedded and written."""

    document_id: str
    passages: list[Passage]
    replaces: bool


class Tally:
    """What a run has done so far: counts, seconds a stage, and the documents that did not get in."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.counts = dict.fromkeys(
            ("documents", "added", "replaced", "unchanged", "removed", "chunks", "embedded", "cached"), 0
        )
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self.failed: list[Failure] = []

    def add(self, **counts: int) -> None:
        """So many more of each."""
        with self._lock:
            for name, count in counts.items():
                self.counts[name] += count

    @contextmanager
    def clock(self, stage: str) -> Iterator[None]:
        """Count the time until the end of the block to `stage`."""
        began = time.perf_counter()
        try:
            yield
        finally:
            with self._lock:
                self.seconds[stage] += time.perf_counter() - began


class Writer:
    """Takes windows of documents: embeds each in one thread, and then writes it in another, in the order given.

    `fail` is told of documents that the store refuses. Nothing is written with `dry`: the texts that would be embedded
    are counted.
    """

    def __init__(
        self,
        index: Index,
        embedder: Embedder,
        *,
        manifest: Manifest,
        cache: VectorCache | None,
        tally: Tally,
        progress: Progress,
        fail: Callable[[str, str], None],
        dry: bool = False,
    ) -> None:
        self._index, self._embedder, self._manifest = index, embedder, manifest
        self._tokenizer = tokenizer_of(embedder)
        self._cache, self._tally, self._progress, self._fail = cache, tally, progress, fail
        self._dry = dry
        self._planned: set[str] = set()
        self._embedding = ThreadPoolExecutor(1, thread_name_prefix="ragvec-embed")
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="ragvec-write")
        self._waiting: deque[Future[None]] = deque()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.finish()
        finally:
            # After an error, windows that nobody has begun are dropped: the next run has them again.
            self._embedding.shutdown(cancel_futures=True)
            self._writing.shutdown(cancel_futures=True)

    def take(self, window: list[Pending], types: dict[str, AttributeType]) -> None:
        """Have a window embedded and written; waits while too many are waiting.

        Raises whatever went wrong with an earlier window.
        """
        while len(self._waiting) >= _AHEAD:
            self._waiting.popleft().result()
        embedded = self._embedding.submit(self._embed, window)
        self._waiting.append(self._writing.submit(self._write_when, embedded, window, types))

    def finish(self) -> None:
        """Wait until all windows are written. Raises whatever went wrong with one of them."""
        while self._waiting:
            self._waiting.popleft().result()

    # -- embedding -------------------------------------------------------------------------------------------------

    def _embed(self, window: list[Pending]) -> FloatMatrix:
        with self._tally.clock("embed"):
            texts = [self._text_of(passage) for pending in window for passage in pending.passages]
            found = self._earlier_vectors(window)
            missing = [text for text in dict.fromkeys(texts) if text not in found]
            if self._cache is not None:
                kept = self._cache.find(self._model(), self._embedder.dimension, missing)
                self._tally.add(cached=len(kept))
                found.update(kept)
                missing = [text for text in missing if text not in found]
            vectors = np.zeros((len(texts), self._embedder.dimension), dtype=np.float32)
            if self._dry:
                fresh = set(missing) - self._planned
                self._planned |= fresh
                self._tally.add(embedded=len(fresh))
                return vectors
            rows = embed_texts(missing, self._embedder, on_batch=self._count, keep=self._keep)
            found.update(zip(missing, rows, strict=True))
            for row, text in enumerate(texts):
                vectors[row] = found[text]
            return vectors

    def _earlier_vectors(self, window: list[Pending]) -> dict[str, Any]:
        """Vectors in the index of the texts of documents that are replaced: most of a changed document is as it was."""
        keys = [key for pending in window if pending.replaces for key in self._manifest.keys(pending.document_id)]
        kept: dict[str, Any] = {}
        for record in self._index.get(keys) if keys else ():
            passage = Passage.from_metadata(record.metadata or {})
            if passage is not None and record.data is not None:
                kept[self._text_of(passage)] = record.data
        return kept

    def _text_of(self, passage: Passage) -> str:
        return passage_text(passage.title, passage.heading, passage.text, tokenizer=self._tokenizer)

    def _model(self) -> str:
        return str(getattr(self._embedder, "cache_name", self._embedder.name))

    def _keep(self, texts: list[str], vectors: FloatMatrix) -> None:
        if self._cache is not None:
            self._cache.keep(self._model(), texts, vectors)

    def _count(self, count: int) -> None:
        self._tally.add(embedded=count)
        self._progress.embedded(count)

    # -- writing ---------------------------------------------------------------------------------------------------

    def _write_when(
        self, embedded: Future[FloatMatrix], window: list[Pending], types: dict[str, AttributeType]
    ) -> None:
        vectors = embedded.result()
        with self._tally.clock("write"):
            if self._dry:
                self._written(window)
            else:
                self._record_types(types)
                try:
                    self._write(window, vectors)
                except InvalidRequest:
                    self._write_each(window, vectors)
        self._progress.documents(len(window))

    def _write(self, window: Sequence[Pending], vectors: FloatMatrix) -> None:
        passages = [passage for pending in window for passage in pending.passages]
        keys = [passage.key for passage in passages]
        self._index.put(keys, vectors, [passage.to_metadata() for passage in passages])
        # The new version is whole and visible before the rest of the old one goes.
        written = set(keys)
        stale = [key for pending in window for key in self._manifest.keys(pending.document_id) if key not in written]
        if stale:
            self._index.delete(stale)
        self._written(window)

    def _written(self, window: Sequence[Pending]) -> None:
        replaced = sum(pending.replaces for pending in window)
        self._tally.add(
            chunks=sum(len(pending.passages) for pending in window),
            documents=len(window),
            replaced=replaced,
            added=len(window) - replaced,
        )

    def _write_each(self, window: Sequence[Pending], vectors: FloatMatrix) -> None:
        """Write document by document, so that one which the store refuses keeps out no other."""
        first = 0
        for pending in window:
            last = first + len(pending.passages)
            try:
                self._write([pending], vectors[first:last])
            except InvalidRequest as error:
                self._fail(pending.document_id, error.message)
            first = last

    def _record_types(self, types: dict[str, AttributeType]) -> None:
        """Put the types of attributes down in the index; what another process put down first stays."""
        while True:
            recorded = self._index.property(ATTRIBUTES_PROPERTY)
            merged = {**types, **(recorded or {})}
            if merged == recorded or self._index.set_property(ATTRIBUTES_PROPERTY, merged, expected=recorded):
                return
