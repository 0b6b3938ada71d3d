"""Verdicts on results, kept as judgements for evaluation."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from ragvec.errors import InvalidRequest
from ragvec.evaluation.beir_files import read_queries
from ragvec.evaluation.trec import read_qrels_file, write_qrels_file

__all__ = ["Judgements"]

_QRELS = "qrels.txt"
_QUERIES = "queries.jsonl"


class Judgements:
    """Which documents somebody found relevant (grade 1) or not (grade 0), by query.

    With a `folder`, every change is written to `qrels.txt`, in TREC's form, and `queries.jsonl`, in BEIR's, and what is
    there already is gone on with.

    Raises:
        DocumentError: the files in the folder are not of this form.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = None if folder is None else Path(folder)
        self.queries: dict[str, str] = {}
        self.qrels: dict[str, dict[str, int]] = {}
        if self.folder is not None and (self.folder / _QRELS).exists():
            self.queries = dict(read_queries(self.folder / _QUERIES))
            self.qrels = read_qrels_file(self.folder / _QRELS)

    def __len__(self) -> int:
        return sum(map(len, self.qrels.values()))

    def of(self, text: str) -> dict[str, int]:
        """{document id: grade} for a query by its text."""
        query = self._query(text)
        return {} if query is None else dict(self.qrels.get(query, {}))

    def judge(self, text: str, document_id: str, grade: int | None) -> None:
        """Note a grade, or with None take it back.

        Raises:
            InvalidRequest: the text is empty; or, with a folder, the id has white space, which its files cannot hold.
        """
        if not text.strip():
            raise InvalidRequest("Expected a query to judge a document for, got none", path="text")
        if self.folder is not None and document_id.split() != [document_id]:
            raise InvalidRequest(
                f"Expected a document id without white space, which TREC's files cannot hold, got {document_id!r}",
                path="document_id",
            )
        query = self._query(text)
        if query is None:
            query = f"q{1 + max((int(q[1:]) for q in self.queries if q[1:].isdigit()), default=0)}"
            self.queries[query] = text
        grades = self.qrels.setdefault(query, {})
        if grade is None:
            grades.pop(document_id, None)
        else:
            grades[document_id] = grade
        if self.folder is not None:
            self.save(self.folder)

    def save(self, folder: str | Path) -> Path:
        """Write `qrels.txt` and `queries.jsonl` into the folder, which is made if need be.

        Raises:
            InvalidRequest: a document id has white space.
        """
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps({"_id": query, "text": text}, ensure_ascii=False) for query, text in self.queries.items()]
        # The queries first: judgements of a query that has no text would be of no use.
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=target, delete=False) as file:
            file.writelines(f"{line}\n" for line in lines)
        Path(file.name).chmod(0o644)
        Path(file.name).replace(target / _QUERIES)
        write_qrels_file(self.qrels, target / _QRELS)
        return target

    def _query(self, text: str) -> str | None:
        return next((query for query, known in self.queries.items() if known == text), None)
