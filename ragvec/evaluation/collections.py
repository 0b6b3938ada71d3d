"""Test collections: documents, queries and graded judgements, from BEIR folders, pandas frames and the handbook.

Documents are read when they are iterated, one at a time and as often as wanted; queries and judgements are held in
memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from ragvec.errors import InvalidRequest, ResourceNotFound
from ragvec.evaluation.beir_files import read_corpus, read_qrels, read_queries
from ragvec.evaluation.frame_rows import check_documents, frame_documents, frame_qrels, frame_queries
from ragvec.evaluation.measures import Qrels
from ragvec.evaluation.questions import read_questions
from ragvec.extras import require
from ragvec.pipeline.documents import Document, Failure
from ragvec.pipeline.load import load

__all__ = ["Collection", "beir", "frames", "handbook", "ir_dataset"]


class Collection(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Documents to search, queries to ask, and which documents are relevant to which query.

    `documents` can be iterated again and again and is what `Pipeline.run` takes; a file that could not be read is a
    `Failure` among them. `queries` is {query id: text} and `qrels` {query id: {document id: grade}}, both in the order
    of their source; neither needs to cover the other.
    """

    name: str
    documents: Iterable[Document | Failure]
    queries: Mapping[str, str] = {}
    qrels: Qrels = {}

    def __repr__(self) -> str:
        return f"Collection({self.name!r}, {len(self.queries)} queries, {len(self.qrels)} judged)"

    @property
    def judged_queries(self) -> dict[str, str]:
        """The queries that have judgements, {query id: text}, in the order of `queries`."""
        return {query: text for query, text in self.queries.items() if query in self.qrels}

    @property
    def unjudged(self) -> tuple[str, ...]:
        """Queries without judgements: nothing can be said about their answers."""
        return tuple(query for query in self.queries if query not in self.qrels)

    @property
    def unasked(self) -> tuple[str, ...]:
        """Judged queries without a text: they cannot be answered and count as zero in every mean."""
        return tuple(query for query in self.qrels if query not in self.queries)

    def absent_documents(self) -> tuple[str, ...]:
        """Ids that have a grade above 0 and no document, sorted; reads every document."""
        judged = {document for grades in self.qrels.values() for document, grade in grades.items() if grade > 0}
        for document in self.documents:
            if isinstance(document, Document):
                judged.discard(document.id)
        return tuple(sorted(judged))

    def problems(self) -> tuple[str, ...]:
        """What does not fit together, a sentence each, none when everything does; reads every document."""
        found = [
            ("queries without judgements, left out of every mean", self.unjudged),
            ("judged queries without a text, which count as zero", self.unasked),
            ("relevant documents that are not in the collection", self.absent_documents()),
        ]
        return tuple(f"{len(ids)} {what}: {_some(ids)}" for what, ids in found if ids)


def beir(folder: str | Path, *, split: str = "test", queries: str = "queries.jsonl") -> Collection:
    """The collection in a folder of BEIR's layout (https://github.com/beir-cellar/beir).

    `corpus.jsonl` holds objects with `_id`, `title`, `text` and, where there are attributes, `metadata`; the file
    `queries` objects with `_id` and `text`; `qrels/<split>.tsv` the columns query id, document id, grade. One file of
    queries often serves several splits: those that this split does not judge are `Collection.unjudged`.

    Raises:
        ResourceNotFound: one of the three files is not there.
        DocumentError: a line cannot be read, or contradicts an earlier one; `source` is `<file>:<line>`. For documents
            it is raised when they are iterated.
    """
    folder = Path(folder)
    corpus = _present(folder / "corpus.jsonl")
    return Collection(
        name=folder.resolve().name,
        documents=_Anew(partial(read_corpus, corpus)),
        queries=read_queries(_present(folder / queries)),
        qrels=read_qrels(_present(folder / "qrels" / f"{split}.tsv")),
    )


def frames(documents: Any, queries: Any = None, qrels: Any = None, *, name: str = "frames") -> Collection:
    """The collection held in pandas DataFrames, of which only the first is needed.

    `documents` has a column of ids, one called `text`, and if wanted one called `title`; every other column is an
    attribute, left out of the rows where it is missing. `queries` has ids and texts; `qrels` query ids, document ids
    and grades. Ids are called `document_id`, `doc_id`, `docno` or `corpus-id`, and `query_id`, `qid` or `query-id`; in
    `documents` and `queries` also `id` or `_id`. Texts of queries are called `text`, `query` or `question`; grades
    `grade`, `relevance`, `label` or `score`.

    Raises:
        InvalidRequest: a column is absent or there under two names, an id or text is missing in a row, a query is
            there twice, or a grade is no whole number. For the rows of documents it is raised when they are iterated.
    """
    check_documents(documents)
    return Collection(
        name=name,
        documents=_Anew(partial(frame_documents, documents)),
        queries={} if queries is None else frame_queries(queries),
        qrels={} if qrels is None else frame_qrels(qrels),
    )


def handbook(folder: str | Path) -> Collection:
    """The handbook of `datasets/handbook`: its pages with their attributes, its questions and their graded relevance.

    Answers, evidence and kinds of the questions are in `ragvec.evaluation.questions.read_questions`.

    Raises:
        ResourceNotFound: the folder has no `questions.jsonl` or no `attributes.jsonl`.
        DocumentError: a question cannot be read.
    """
    folder = Path(folder)
    attributes = _present(folder / "attributes.jsonl")
    questions = read_questions(_present(folder / "questions.jsonl"))
    return Collection(
        name=folder.resolve().name,
        documents=_Anew(lambda: load(folder / "documents", attributes=attributes)),
        queries={question.id: question.question for question in questions},
        qrels={question.id: question.relevance for question in questions},
    )


def ir_dataset(dataset: Any) -> Collection:
    """The collection that ir_datasets knows by this id, such as "beir/scifact/test", or one of its datasets.

    ir_datasets (https://ir-datasets.com) downloads what it has not; it is not among the dependencies. The text of a
    document is what is left of its fields besides `doc_id` and `title`, that of a query its `text`, else its `title`
    or `query`.

    Raises:
        MissingExtra: ir_datasets is not installed. ResourceNotFound: there is no such id. InvalidRequest: the dataset
            has no documents.
    """
    library = require("ir_datasets", extra="ir-datasets", purpose="A collection of ir_datasets")
    name = dataset if isinstance(dataset, str) else getattr(dataset, "dataset_id", lambda: "dataset")()
    if isinstance(dataset, str):
        try:
            dataset = library.load(dataset)
        except KeyError as error:
            raise ResourceNotFound(f"ir_datasets has no dataset {name!r}") from error
    if not dataset.has_docs():
        raise InvalidRequest(f"Expected a dataset with documents, {name!r} has none", path="dataset")
    qrels: dict[str, dict[str, int]] = {}
    if dataset.has_qrels():
        for judged in dataset.qrels_iter():
            qrels.setdefault(judged.query_id, {})[judged.doc_id] = judged.relevance
    queries = {each.query_id: _query_text(each) for each in dataset.queries_iter()} if dataset.has_queries() else {}
    return Collection(
        name=name, documents=_Anew(lambda: map(_ir_document, dataset.docs_iter())), queries=queries, qrels=qrels
    )


def _query_text(query: Any) -> str:
    return next((str(getattr(query, field)) for field in ("text", "title", "query") if hasattr(query, field)), "")


def _ir_document(document: Any) -> Document:
    fields = document._asdict()
    own, title = fields.pop("doc_id"), fields.pop("title", "")
    body = [str(value) for value in fields.values() if isinstance(value, str) and value.strip()]
    return Document(id=str(own), title=str(title or ""), text="\n\n".join(body))


class _Anew:
    """An iterable that begins anew, with a call, each time it is iterated."""

    def __init__(self, begin: Callable[[], Iterator[Document | Failure]]) -> None:
        self._begin = begin

    def __iter__(self) -> Iterator[Document | Failure]:
        return self._begin()


def _present(path: Path) -> Path:
    if not path.is_file():
        raise ResourceNotFound(f"Expected a file, found none - at {path}")
    return path


def _some(ids: tuple[str, ...]) -> str:
    return ", ".join(ids[:5]) + (", …" if len(ids) > 5 else "")
