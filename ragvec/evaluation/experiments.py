"""Experiments: several configurations on one collection, each part of the work done once, whatever interrupts it.

    experiment = Experiment(beir("scifact"), grid(way=["text", "dense", "hybrid"]), folder="experiments")
    report = experiment.run()
    report.to_pandas(); report.compare("nDCG@10"); report.save("scifact.html")

In the folder lie a store, with an index for each chunker and embedder (and the vectors of all texts, by model), and the
answers of every configuration as they were given:

    store/                          indexes `experiments/<collection>-<digest>`
    answers/<digest>.json           {"configuration": …, "run": …, "milliseconds": …, "made": …}
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

import ragvec
from ragvec.api.arguments import at_least_one
from ragvec.errors import DocumentError, InvalidRequest
from ragvec.evaluation.asking import Answers, ask
from ragvec.evaluation.collections import Collection
from ragvec.evaluation.configurations import Configuration, digest_of
from ragvec.evaluation.experiment_report import ExperimentReport, Outcome
from ragvec.evaluation.measures import DEFAULT_MEASURES, Measure, evaluate
from ragvec.evaluation.query_vectors import QuestionEmbedder
from ragvec.pipeline.cache import VectorCache
from ragvec.pipeline.documents import Document
from ragvec.pipeline.run import Pipeline
from ragvec.store import Index, Store

__all__ = ["Experiment"]

_BUCKET = "experiments"
_DONE = "experiment"
"""Index property: what the index was made of, once it is complete."""


class _Made(msgspec.Struct, frozen=True):
    """An index of an experiment, and what it cost when it was made."""

    documents: str
    passages: int
    seconds: float


class _Kept(msgspec.Struct, frozen=True):
    """An answers file."""

    configuration: dict[str, Any]
    run: dict[str, list[tuple[str, float]]]
    milliseconds: dict[str, float]


class Experiment:
    """`configurations` to be compared on a `collection`, with their work in `folder`.

    Every configuration answers the judged queries with its first `k` documents, which are judged by `measures`. With
    `workers` above 1, so many configurations are asked at once, and times of single queries tell less.

    Raises:
        InvalidRequest: two configurations have one name, there is none, or the collection has no judged queries.
    """

    def __init__(
        self,
        collection: Collection,
        configurations: Sequence[Configuration],
        *,
        folder: str | Path,
        measures: Iterable[Measure | str] = DEFAULT_MEASURES,
        k: int = 100,
        workers: int = 1,
    ) -> None:
        names = [configuration.name for configuration in configurations]
        if not names or len(set(names)) < len(names):
            raise InvalidRequest(
                f"Expected configurations with names of their own, got {', '.join(names) or 'none'}",
                path="configurations",
            )
        if not collection.judged_queries:
            raise InvalidRequest(f"Expected judged queries, {collection.name!r} has none", path="collection")
        self.collection = collection
        self.configurations = tuple(configurations)
        self.folder = Path(folder)
        self.measures = [measure if isinstance(measure, Measure) else Measure.parse(measure) for measure in measures]
        self.k = at_least_one(k, "k")
        self.workers = at_least_one(workers, "workers")

    def __repr__(self) -> str:
        return f"Experiment({self.collection.name!r}, {len(self.configurations)} configurations, {str(self.folder)!r})"

    def run(self, *, progress: Callable[[str], object] | None = None) -> ExperimentReport:
        """Do what has not been done, and report on all of it. `progress` is told what is being done.

        What an interruption leaves is found again: finished indexes and answers are taken as they are, an index that
        was not finished goes on where it was, and no text is embedded twice by one model.

        Raises:
            DocumentError: a document of the collection cannot be read, split or embedded: the figures would be of
                another collection. ModelError, MissingExtra, StoreError.
        """
        tell = progress or (lambda _: None)
        (self.folder / "answers").mkdir(parents=True, exist_ok=True)
        documents = _digest(self.collection.documents)
        queries = self.collection.judged_queries
        with Store(self.folder / "store") as store:
            cache = VectorCache.of(store)
            made: dict[str, tuple[Index, QuestionEmbedder, _Made]] = {}
            places = {}
            for configuration in self.configurations:
                tell(f"{configuration.name}: index")
                place, parts = self._index(store, configuration, documents=documents, cache=cache, made=made)
                made[place], places[configuration.name] = parts, place
            for _, embedder, _ in made.values():
                embedder.prepare(list(queries.values()))

            def outcome(configuration: Configuration) -> Outcome:
                place = places[configuration.name]
                index, embedder, facts = made[place]
                answers = self._answers(
                    index, configuration, embedder=embedder, place=place, documents=documents, tell=tell
                )
                return Outcome(
                    name=configuration.name,
                    scores=evaluate(answers.run, self.collection.qrels, measures=self.measures),
                    run=answers.run,
                    milliseconds=answers.milliseconds,
                    passages=facts.passages,
                    ingest_seconds=facts.seconds,
                )

            with ThreadPoolExecutor(self.workers, thread_name_prefix="ragvec-experiment") as pool:
                outcomes = list(pool.map(outcome, self.configurations))
            if cache is not None:
                cache.close()
        return ExperimentReport(
            collection=self.collection.name,
            outcomes=tuple(outcomes),
            queries=queries,
            qrels={query: dict(grades) for query, grades in self.collection.qrels.items()},
            workers=self.workers,
        )

    def _index(
        self,
        store: Store,
        configuration: Configuration,
        *,
        documents: str,
        cache: VectorCache | None,
        made: dict[str, tuple[Index, QuestionEmbedder, _Made]],
    ) -> tuple[str, tuple[Index, QuestionEmbedder, _Made]]:
        """The index that the configuration asks, complete, by its name."""
        probe = Pipeline(
            index=store.bucket(_BUCKET).index("probe"),
            chunker=configuration.chunker,
            embedder=configuration.embedder,
            cache=cache if cache is not None else False,
        )
        name = f"{_slug(self.collection.name)}-{digest_of(probe.chunker.name, probe.embedder.name)}"
        if name in made:
            return name, made[name]
        index = store.bucket(_BUCKET).index(name)
        known = index.property(_DONE) if index.exists() else None
        if known is None or known["documents"] != documents:
            began = time.perf_counter()
            probe.index = index
            report = probe.run(self.collection.documents, remove_missing=True, progress=False)
            if report.failed:
                failure = report.failed[0]
                raise DocumentError(
                    f"{len(report.failed)} documents of {self.collection.name!r} did not get in, the first: {failure}",
                    source=failure.source,
                )
            facts = _Made(documents, len(index), time.perf_counter() - began)
            index.optimize()
            index.set_property(_DONE, msgspec.to_builtins(facts))
        else:
            facts = msgspec.convert(known, _Made)
        return name, (index, QuestionEmbedder(probe.embedder, cache), facts)

    def _answers(
        self,
        index: Index,
        configuration: Configuration,
        *,
        embedder: QuestionEmbedder,
        place: str,
        documents: str,
        tell: Callable[[str], object],
    ) -> Answers:
        """What the configuration answers: as it is kept, else asked now, and kept."""
        queries = self.collection.judged_queries
        key = {
            "version": ragvec.__version__,
            "index": place,
            "documents": documents,
            "queries": digest_of(list(queries.items())),
            "k": self.k,
            **configuration.asking(),
        }
        path = self.folder / "answers" / f"{digest_of(key)}.json"
        kept = _read(path, key)
        if kept is not None:
            return Answers(kept.run, kept.milliseconds)
        tell(f"{configuration.name}: {len(queries):,} queries")
        answers = ask(index, queries, configuration=configuration, embedder=embedder, k=self.k)
        _write(path, _Kept(key, answers.run, answers.milliseconds))
        return answers


def _read(path: Path, key: dict[str, Any]) -> _Kept | None:
    """The answers in a file; None where there are none, or those of something else or damaged, to be asked again."""
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return kept if kept.configuration == key else None


def _write(path: Path, kept: _Kept) -> None:
    """The file appears whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.stem}.", delete=False) as file:
        file.write(msgspec.json.encode(kept))
    Path(file.name).replace(path)


def _digest(documents: Iterable[Any]) -> str:
    """What stands for all documents. Raises DocumentError: one cannot be read."""
    parts = []
    for document in documents:
        if not isinstance(document, Document):
            raise DocumentError(str(document), source=getattr(document, "source", ""))
        parts.append(digest_of(document.id, document.title, document.text, repr(sorted(document.attributes.items()))))
    return digest_of(parts)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:30].strip("-") or "collection"


# Made once while the module is imported: msgspec may crash where threads meet a type for the first time together.
msgspec.json.Decoder(_Kept)
