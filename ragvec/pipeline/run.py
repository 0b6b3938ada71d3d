"""The pipeline: load, chunk, embed, write, as one stream, into an index that is its own manifest."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from typing import Any

import msgspec

from ragvec.errors import DocumentError, InvalidRequest
from ragvec.filters.nodes import EVERYTHING, Filter, In
from ragvec.limits import FileLimits
from ragvec.pipeline.attributes import typed
from ragvec.pipeline.cache import VectorCache
from ragvec.pipeline.chunk import Chunk, Chunker
from ragvec.pipeline.chunkers.names import as_chunker
from ragvec.pipeline.documents import Document, Failure
from ragvec.pipeline.embed import as_embedder
from ragvec.pipeline.load import Source, expected_documents, load
from ragvec.pipeline.manifest import Manifest
from ragvec.pipeline.passages import ATTRIBUTES_PROPERTY, DOCUMENT_ID, AttributeType, Passage
from ragvec.pipeline.prepare import AUTO, check_owner, prepare
from ragvec.pipeline.progress import Progress
from ragvec.pipeline.rebuild import Rebuild, plan_of
from ragvec.pipeline.report import Report
from ragvec.pipeline.sidecar import AttributeSource
from ragvec.pipeline.writing import Pending, Tally, Writer
from ragvec.protocols import Embedder
from ragvec.store import Index

__all__ = ["AUTO", "Pipeline"]

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

    Vectors are kept in the store by model and text (`VectorCache`), so that no text is embedded twice: not in another
    document or index, not under another name, not after an interruption. `cache` False keeps none, as is so for
    embedders that are quicker than looking up, or whose name need not change with their vectors.

    Raises:
        MissingExtra, ModelError: the embedder cannot be made. InvalidRequest: `chunker` is none.
    """

    def __init__(
        self,
        *,
        index: Index,
        chunker: Any = None,
        embedder: Any = None,
        text: str | None = AUTO,
        cache: bool | VectorCache = True,
    ) -> None:
        if not isinstance(index, Index):
            raise InvalidRequest(f"Expected an index, as `store.bucket(…).index(…)` gives, got {index!r}", path="index")
        self.index = index
        self.embedder: Embedder = as_embedder(embedder)
        self.chunker: Chunker = as_chunker(chunker, self.embedder)
        self.text = text
        self.cache: VectorCache | None = cache if isinstance(cache, VectorCache) else None
        if cache is True and getattr(self.embedder, "cacheable", True):
            self.cache = VectorCache.of(index.bucket.store)

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
        dry_run: bool = False,
    ) -> Report:
        """Ingest `source`, and tell what was done.

        `source`, `attributes`, `glob` and `limits` are as in `ragvec.pipeline.load.load`. Each id is put behind
        `id_prefix`. A document whose content, attributes, chunker and embedder are as they were is left alone; another
        version replaces it, and readers see the old or the new one, never none. With `remove_missing`, documents of the
        index whose id begins with `id_prefix` and that `source` no longer has are removed, unless something failed
        whose id is unknown. With `dry_run` nothing is embedded or written, and the report tells what would be.

        Documents are loaded and split while those before them are embedded, and others written. Nothing is lost when
        the process ends at any moment: what was written counts, what was embedded is in the cache, and the next run
        goes on from there. One document that cannot be loaded, split or stored is a failure in the report and stops
        nothing.

        Raises:
            EmbedderMismatch: another embedder filled the index.
            DocumentError: `source` as a whole, or the attributes file, cannot be read.
            InvalidRequest, MissingExtra: there is no text search in the language, or the index has it in another.
            ModelError: the model cannot be loaded. StoreError: the store cannot be read or written.
        """
        if not dry_run:
            prepare(self.index, self.embedder, text=self.text)
        elif self._there():
            check_owner(self.index, self.embedder)
        bar = Progress(shown=progress, total=expected_documents(source, glob=glob) if progress else None)
        run = _Run(self, bar, id_prefix, among=EVERYTHING if remove_missing else _among(source, id_prefix), dry=dry_run)
        try:
            with run.writer:
                run.ingest(load(source, attributes=attributes, glob=glob, limits=limits))
            if remove_missing:
                run.remove_missing()
            report = run.report()
            bar.finish(_stage_lines(report))
        finally:
            bar.close()
            if self.cache is not None:
                self.cache.close()
        return report

    def rebuild(
        self,
        source: Source,
        *,
        beside: str | None = None,
        keep_old: bool = False,
        switch: bool = True,
        remove_missing: bool = False,
        id_prefix: str = "",
        **options: Any,
    ) -> Report:
        """Bring `source` into a new index with this chunker and embedder, and let it take the place of the present one.

        For another chunker or model of an index in use: readers search the old index until the new one is complete,
        and then, from one moment to the next, the new one under the same name. The new index is made `beside` the old
        one (None: its name and "-beside") with the same metric, text search, properties and tags; then they exchange
        their names, and the old one is deleted, unless `keep_old` keeps it under the name `beside`. With `switch` False
        it is only filled, for a corpus of several sources. A rebuild that was killed goes on where it was, and texts
        that were embedded are not embedded again. The other options are those of `run`.

        Raises:
            IndexNotFound: there is nothing to rebuild. IndexExists: `beside` is another index.
            InvalidRequest: documents of the old index are missing in the new one and `remove_missing` is not set, or
            it has FAQs, which belong to the old one. Everything else that `run` raises.
        """
        if options.get("dry_run"):
            raise InvalidRequest("Expected a rebuild, got a dry run of one: ask run() for it", path="dry_run")
        plan = plan_of(self.embedder.name, self.chunker.name)
        rebuild = Rebuild(self.index, beside=beside, plan=plan, dimension=self.embedder.dimension)

        def fill(index: Index) -> Report:
            other = Pipeline(index=index, chunker=self.chunker, embedder=self.embedder, text=None, cache=False)
            other.cache = self.cache
            return other.run(source, remove_missing=remove_missing, id_prefix=id_prefix, **options)

        return rebuild.run(fill, prefix=id_prefix, remove_missing=remove_missing, keep_old=keep_old, switch=switch)

    def _there(self) -> bool:
        return self.index.bucket.exists() and self.index.exists()


class _Run:
    """One run: what is new or changed goes through the window to the writer."""

    def __init__(self, pipeline: Pipeline, progress: Progress, id_prefix: str, *, among: Filter, dry: bool) -> None:
        self._index, self._embedder, self._chunker = pipeline.index, pipeline.embedder, pipeline.chunker
        self._progress, self._prefix, self._dry = progress, id_prefix, dry
        self._cache = pipeline.cache
        self._began = time.perf_counter()
        self._tally = Tally()
        self._notes: list[tuple[str, str]] = []
        self._seen: set[str] = set()
        self._window: list[Pending] = []
        there = not dry or pipeline._there()
        with self._tally.clock("load"):
            self._manifest = Manifest(self._index.iter(where=among) if there else ())
            self._types: dict[str, AttributeType] = (self._index.property(ATTRIBUTES_PROPERTY) if there else None) or {}
        self.writer = Writer(
            self._index,
            self._embedder,
            manifest=self._manifest,
            cache=self._cache,
            tally=self._tally,
            progress=progress,
            fail=lambda document_id, reason: self._fail(document_id, reason, document_id),
            dry=dry,
        )

    def ingest(self, items: Iterator[Document | Failure]) -> None:
        waiting = 0
        while True:
            with self._tally.clock("load"):
                item = next(items, None)
            if item is None:
                break
            if isinstance(item, Failure):
                self._fail(item.source, item.reason, item.document_id and self._prefix + item.document_id)
                self._progress.documents()
                continue
            document = msgspec.structs.replace(item, id=self._prefix + item.id)
            try:
                waiting += self._take(document)
            except DocumentError as error:
                self._fail(document.id, error.message, document.id)
                self._progress.documents()
            if waiting >= _WINDOW:
                self._flush()
                waiting = 0
        self._flush()

    def remove_missing(self) -> None:
        if any(not failure.document_id for failure in self._tally.failed):
            self._notes.append(("", "nothing was removed: some failures do not tell which documents they concern"))
            return
        gone = [known for known in self._manifest if known.startswith(self._prefix) and known not in self._seen]
        with self._tally.clock("write"):
            self._delete([key for document_id in gone for key in self._manifest.keys(document_id)])
        self._tally.add(removed=len(gone))

    def report(self) -> Report:
        if self._cache is not None and self._cache.trouble:
            self._notes.append(("", f"vectors were not kept for later runs: {self._cache.trouble}"))
        return Report(
            **self._tally.counts,
            failed=tuple(self._tally.failed),
            notes=tuple(self._notes),
            seconds=self._tally.seconds,
            total_seconds=time.perf_counter() - self._began,
            dry_run=self._dry,
        )

    def _take(self, document: Document) -> int:
        """Split the document and put it into the window, if it is new or has changed; as how many chunks."""
        self._seen.add(document.id)
        with self._tally.clock("chunk"):
            values, types = typed(document, self._types)
            version = _content_hash(document, values, self._chunker.name, self._embedder.name)
        self._notes += [(document.id, note) for note in document.notes]
        known = self._manifest.get(document.id)
        if known is not None and known.has(version):
            self._tally.add(documents=1, unchanged=1)
            self._progress.documents()
            with self._tally.clock("write"):
                self._delete(self._manifest.keys(document.id, but=version))
            return 0
        with self._tally.clock("chunk"):
            chunks = self._chunker.split(document)
        if not chunks:
            raise DocumentError("Expected text, got a document of which the chunker made nothing")
        self._types = {**types, **self._types}
        passages = _passages(document.id, values, version, chunks)
        self._window.append(Pending(document.id, passages, known is not None))
        return len(passages)

    def _flush(self) -> None:
        window, self._window = self._window, []
        if window:
            self.writer.take(window, self._types)

    def _delete(self, keys: list[str]) -> None:
        if keys and not self._dry:
            self._index.delete(keys)

    def _fail(self, source: str, reason: str, document_id: str) -> None:
        self._tally.failed.append(Failure(source, reason, document_id))
        if document_id:
            self._seen.add(document_id)


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
