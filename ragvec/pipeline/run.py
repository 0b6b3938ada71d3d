"""The pipeline: load, chunk, embed, write, as one stream, into an index that is its own manifest."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
import numpy as np

from ragvec.errors import DocumentError, EmbedderMismatch, IndexExists, InvalidRequest, TextFieldExists
from ragvec.filters.nodes import EVERYTHING, Filter, In
from ragvec.limits import FileLimits
from ragvec.pipeline.attributes import typed
from ragvec.pipeline.chunk import Chunk, Chunker
from ragvec.pipeline.chunkers.names import as_chunker
from ragvec.pipeline.documents import Document, Failure
from ragvec.pipeline.embed import as_embedder, embed_texts, passage_text, tokenizer_of
from ragvec.pipeline.load import Source, expected_documents, load
from ragvec.pipeline.manifest import Manifest
from ragvec.pipeline.passages import (
    ATTRIBUTES_PROPERTY,
    DEFAULT_LANGUAGE,
    DOCUMENT_ID,
    EMBEDDER_PROPERTY,
    NON_FILTERABLE,
    TEXT,
    TEXT_FIELDS,
    AttributeType,
    Passage,
)
from ragvec.pipeline.progress import Progress
from ragvec.pipeline.report import STAGES, Report
from ragvec.pipeline.sidecar import AttributeSource
from ragvec.protocols import Embedder
from ragvec.store import Index
from ragvec.types import FloatMatrix

__all__ = ["AUTO", "Pipeline"]

AUTO = "auto"
"""Search the words of passages in English, in an index that nobody has filled or prepared yet."""

_WINDOW = 512
"""Chunks that are embedded and written together: what an interruption can cost, and among which lengths are sorted."""

_FEW = 100
"""Documents that are looked up by their ids; for more, what the index holds is read once."""

_FORMAT = 1
"""Part of each content hash; raised when the same document would be stored differently."""


class Pipeline:
    """Brings documents into an index, and keeps it up to date with them.

    The index and its bucket are made when they are missing. `embedder` is an embedder, a name ("minilm", "hashing:256",
    a folder, a model on the Hub), LangChain embeddings or a function; None is all-MiniLM-L6-v2. `chunker` is a
    chunker, a name ("tokens:256:32", "sentences", "semantic", "parents:800:150"), or a text splitter; None is a
    `StructureChunker` that measures with the embedder's tokenizer and leaves room for title and headings in what the
    model reads.

    The words of passages, titles and headings are searched too (`index.query(text=…)`), in the language `text`, such as
    "en", or in "any"; an index that has that already keeps it. With "auto" this is so in English for an index that the
    pipeline is the first to fill, unless it has text fields of its own, and any other index stays as it is. None adds
    no text search.

    Raises:
        MissingExtra, ModelError: the embedder cannot be made. InvalidRequest: `chunker` is none.
    """

    def __init__(self, *, index: Index, chunker: Any = None, embedder: Any = None, text: str | None = AUTO) -> None:
        if not isinstance(index, Index):
            raise InvalidRequest(f"Expected an index, as `store.bucket(…).index(…)` gives, got {index!r}", path="index")
        self.index = index
        self.embedder: Embedder = as_embedder(embedder)
        self.chunker: Chunker = as_chunker(chunker, self.embedder)
        self.text = text

    def __repr__(self) -> str:
        return f"Pipeline({self.index!r}, {self.embedder.name!r}, {self.chunker.name!r})"

    def run(
        self,
        source: Source,
        *,
        attributes: AttributeSource | None = None,
        glob: str = "**/*",
        remove_missing: bool = False,
        progress: bool = True,
        id_prefix: str = "",
        limits: FileLimits | None = None,
    ) -> Report:
        """Ingest `source`, and tell what was done.

        `source`, `attributes`, `glob` and `limits` are as in `ragvec.pipeline.load.load`. Each id is put behind
        `id_prefix`. A document whose content, attributes, chunker and embedder are as they were is left alone; another
        version replaces it, and readers see the old or the new one, never none. With `remove_missing`, documents of the
        index whose id begins with `id_prefix` and that `source` no longer has are removed, unless something failed
        whose id is unknown.

        Nothing is lost when the process ends at any moment: what was written counts, and the next run goes on from
        there. One document that cannot be loaded, split or stored is a failure in the report and stops nothing.

        Raises:
            EmbedderMismatch: another embedder filled the index.
            DocumentError: `source` as a whole, or the attributes file, cannot be read.
            InvalidRequest, MissingExtra: there is no text search in the language, or the index has it in another.
            ModelError: the model cannot be loaded. StoreError: the store cannot be read or written.
        """
        _prepare(self.index, self.embedder, text=self.text)
        bar = Progress(shown=progress, total=expected_documents(source, glob=glob) if progress else None)
        run = _Run(self, bar, id_prefix, among=EVERYTHING if remove_missing else _among(source, id_prefix))
        try:
            run.ingest(load(source, attributes=attributes, glob=glob, limits=limits))
            if remove_missing:
                run.remove_missing()
            report = run.report()
            bar.finish(_stage_lines(report))
        finally:
            bar.close()
        return report


class _Pending(msgspec.Struct, frozen=True):
    """A document waiting to be embedded and written."""

    document_id: str
    passages: list[Passage]
    version: str
    replaces: bool


class _Run:
    """One run: its counts, its clock, and the window of documents that are written next."""

    def __init__(self, pipeline: Pipeline, progress: Progress, id_prefix: str, *, among: Filter) -> None:
        self._index, self._embedder, self._chunker = pipeline.index, pipeline.embedder, pipeline.chunker
        self._tokenizer = tokenizer_of(pipeline.embedder)
        self._progress, self._prefix = progress, id_prefix
        self._began = time.perf_counter()
        self._seconds = dict.fromkeys(STAGES, 0.0)
        self._counts = dict.fromkeys(
            ("documents", "added", "replaced", "unchanged", "removed", "chunks", "embedded"), 0
        )
        self._failed: list[Failure] = []
        self._notes: list[tuple[str, str]] = []
        self._seen: set[str] = set()
        self._window: list[_Pending] = []
        with self._clock("load"):
            self._manifest = Manifest(self._index.iter(where=among))
            self._types: dict[str, AttributeType] = self._index.property(ATTRIBUTES_PROPERTY) or {}

    def ingest(self, items: Iterator[Document | Failure]) -> None:
        while True:
            with self._clock("load"):
                item = next(items, None)
            if item is None:
                break
            if isinstance(item, Failure):
                self._fail(item.source, item.reason, item.document_id and self._prefix + item.document_id)
                self._progress.documents()
                continue
            document = msgspec.structs.replace(item, id=self._prefix + item.id)
            try:
                self._take(document)
            except DocumentError as error:
                self._fail(document.id, error.message, document.id)
                self._progress.documents()
            if sum(len(pending.passages) for pending in self._window) >= _WINDOW:
                self._flush()
        self._flush()

    def remove_missing(self) -> None:
        if any(not failure.document_id for failure in self._failed):
            self._notes.append(("", "nothing was removed: some failures do not tell which documents they concern"))
            return
        gone = [known for known in self._manifest if known.startswith(self._prefix) and known not in self._seen]
        with self._clock("write"):
            self._delete([key for document_id in gone for key in self._manifest.keys(document_id)])
        self._counts["removed"] = len(gone)

    def report(self) -> Report:
        return Report(
            **self._counts,
            failed=tuple(self._failed),
            notes=tuple(self._notes),
            seconds=self._seconds,
            total_seconds=time.perf_counter() - self._began,
        )

    def _take(self, document: Document) -> None:
        """Look whether the document is new or changed; if so, split it and put it into the window."""
        self._seen.add(document.id)
        with self._clock("chunk"):
            values, types = typed(document, self._types)
            version = _content_hash(document, values, self._chunker.name, self._embedder.name)
        self._notes += [(document.id, note) for note in document.notes]
        known = self._manifest.get(document.id)
        if known is not None and known.has(version):
            self._counts["documents"] += 1
            self._counts["unchanged"] += 1
            self._progress.documents()
            with self._clock("write"):
                self._delete(self._manifest.keys(document.id, but=version))
            return
        with self._clock("chunk"):
            chunks = self._chunker.split(document)
        if not chunks:
            raise DocumentError("Expected text, got a document of which the chunker made nothing")
        self._types = {**types, **self._types}
        passages = _passages(document.id, values, version, chunks)
        self._window.append(_Pending(document.id, passages, version, known is not None))

    def _flush(self) -> None:
        window, self._window = self._window, []
        if not window:
            return
        with self._clock("embed"):
            vectors = self._embed([passage for pending in window for passage in pending.passages], window)
        with self._clock("write"):
            self._record_types()
            try:
                self._write(window, vectors)
            except InvalidRequest:
                self._write_each(window, vectors)
        self._progress.documents(len(window))

    def _embed(self, passages: list[Passage], window: list[_Pending]) -> FloatMatrix:
        texts = [self._text_of(passage) for passage in passages]
        kept = self._earlier_vectors(window)
        fresh = [text for text in texts if text not in kept]
        found = embed_texts(fresh, self._embedder, on_batch=self._count_embedded)
        vectors = np.empty((len(texts), self._embedder.dimension), dtype=np.float32)
        rows = iter(found)
        for row, text in enumerate(texts):
            vectors[row] = kept[text] if text in kept else next(rows)
        return vectors

    def _earlier_vectors(self, window: list[_Pending]) -> dict[str, Any]:
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

    def _count_embedded(self, count: int) -> None:
        self._counts["embedded"] += count
        self._progress.embedded(count)

    def _write(self, window: Sequence[_Pending], vectors: FloatMatrix) -> None:
        passages = [passage for pending in window for passage in pending.passages]
        keys = [passage.key for passage in passages]
        self._index.put(keys, vectors, [passage.to_metadata() for passage in passages])
        # The new version is whole and visible before the rest of the old one goes.
        written = set(keys)
        stale = [key for pending in window for key in self._manifest.keys(pending.document_id) if key not in written]
        self._delete(stale)
        self._counts["chunks"] += len(passages)
        self._counts["documents"] += len(window)
        for pending in window:
            self._counts["replaced" if pending.replaces else "added"] += 1

    def _write_each(self, window: Sequence[_Pending], vectors: FloatMatrix) -> None:
        """Write document by document, so that one which the store refuses keeps out no other."""
        first = 0
        for pending in window:
            last = first + len(pending.passages)
            try:
                self._write([pending], vectors[first:last])
            except InvalidRequest as error:
                self._fail(pending.document_id, error.message, pending.document_id)
            first = last

    def _delete(self, keys: list[str]) -> None:
        if keys:
            self._index.delete(keys)

    def _record_types(self) -> None:
        while True:
            recorded = self._index.property(ATTRIBUTES_PROPERTY)
            merged = {**self._types, **(recorded or {})}
            if merged == recorded or self._index.set_property(ATTRIBUTES_PROPERTY, merged, expected=recorded):
                self._types = merged
                return

    def _fail(self, source: str, reason: str, document_id: str) -> None:
        self._failed.append(Failure(source, reason, document_id))
        if document_id:
            self._seen.add(document_id)

    @contextmanager
    def _clock(self, stage: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[stage] += time.perf_counter() - began


def _among(source: Source, prefix: str) -> Filter:
    """The passages among which those of `source` are: its own, where it is a few documents, or else all."""
    if not isinstance(source, (list, tuple)) or len(source) > _FEW:
        return EVERYTHING
    ids = tuple(prefix + item.id for item in source if isinstance(item, Document))
    try:
        "".join(ids).encode()
    except UnicodeEncodeError:  # such a document fails by itself, not the run
        return EVERYTHING
    return In(DOCUMENT_ID, ids) if len(ids) == len(source) else EVERYTHING


def _prepare(index: Index, embedder: Embedder, *, text: str | None) -> None:
    """Make the index if need be, and see that it is this embedder's and that words are searched as `text` says."""
    bucket = index.bucket
    if not bucket.exists():
        bucket.store.create_bucket(bucket.name, exist_ok=True)
    if not index.exists():
        with suppress(IndexExists):  # by another process, just now, perhaps with text fields
            bucket.create_index(index.name, dimension=embedder.dimension, non_filterable=NON_FILTERABLE)
    if text == AUTO:
        fresh = index.property(EMBEDDER_PROPERTY) is None and not index.text_fields and not index.count()
        text = DEFAULT_LANGUAGE if fresh else None
    _own(index, embedder)
    if text is not None:
        _prepare_text(index, text)


def _own(index: Index, embedder: Embedder) -> None:
    """See that the index is this embedder's."""
    bucket = index.bucket
    ours = {"name": embedder.name, "dimension": embedder.dimension}
    theirs = index.property(EMBEDDER_PROPERTY)
    if theirs is None and index.dimension == embedder.dimension:
        index.set_property(EMBEDDER_PROPERTY, ours, expected=None)
        theirs = index.property(EMBEDDER_PROPERTY)
    place = f"index {index.name!r} of bucket {bucket.name!r}"
    got = f"got {embedder.name!r} of dimension {embedder.dimension}"
    if theirs is None:
        raise EmbedderMismatch(
            f"Expected an embedder of dimension {index.dimension}, which that of {place} is, {got}: use an embedder of "
            "that dimension, or another index",
            path="embedder",
        )
    if theirs != ours:
        raise EmbedderMismatch(
            f"Expected the embedder {theirs['name']!r} of dimension {theirs['dimension']}, which fills {place}, {got}: "
            "use that embedder, or another index",
            path="embedder",
        )


def _prepare_text(index: Index, text: str) -> None:
    """See that the words of passages, titles and headings are searched, in the language `text`."""
    language = None if text == "any" else text
    for field in TEXT_FIELDS:
        if field not in index.text_fields:
            with suppress(TextFieldExists):  # by another process, just now
                index.add_text(field, language=language)
    there = index.text_fields.get(TEXT)
    if there != language:
        raise InvalidRequest(
            f"Expected the language {there or 'any'!r}, in which the text of index {index.name!r} is searched, got "
            f"{text!r}: use that one, or drop_text({TEXT!r}) first",
            path="text",
        )


def _content_hash(document: Document, values: dict[str, Any], chunker: str, embedder: str) -> str:
    content = [_FORMAT, document.text, document.blocks, document.pages, values, chunker, embedder]
    return hashlib.blake2b(msgspec.json.encode(content, order="deterministic"), digest_size=16).hexdigest()


def _passages(document_id: str, values: dict[str, Any], version: str, chunks: list[Chunk]) -> list[Passage]:
    return [
        Passage(
            document_id=document_id,
            number=number,
            count=len(chunks),
            begin=chunk.begin,
            end=chunk.end,
            text=chunk.text,
            hash=version,
            heading=chunk.heading,
            page=chunk.page,
            attributes={**values, **chunk.stored} if chunk.stored else values,
        )
        for number, chunk in enumerate(chunks)
    ]


def _stage_lines(report: Report) -> list[str]:
    done = {
        "load": f"{report.documents + len(report.failed):,} documents",
        "chunk": f"{report.documents - report.unchanged:,} documents into {report.chunks:,} chunks",
        "embed": f"{report.embedded:,} chunks",
        "write": f"{report.chunks:,} chunks, {report.removed:,} documents removed",
    }
    return [f"{stage:<6} {report.seconds[stage]:8.1f} s  {what}" for stage, what in done.items()]
