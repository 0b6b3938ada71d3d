"""Runs and judgements in the files of TREC: what trec_eval, ir-measures and PyTerrier read and write.

A run has lines `query Q0 document rank score tag`, judgements `query 0 document grade`, parted by white space.
https://trec.nist.gov/data/qrels_eng/ and https://github.com/usnistgov/trec_eval
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from ragvec.errors import DocumentError, InvalidRequest, ResourceNotFound
from ragvec.evaluation.measures import Qrels, Run
from ragvec.evaluation.text_lines import lines

__all__ = ["read_qrels_file", "read_run_file", "write_qrels_file", "write_run_file"]


def read_run_file(path: str | Path) -> dict[str, list[tuple[str, float]]]:
    """A run: {query id: [(document id, score), …]}, the queries in order of the file, the answers by score.

    Equal scores keep the order of the file; ranks are not looked at, as trec_eval does not.

    Raises:
        ResourceNotFound: there is no such file.
        DocumentError: a line is not of this form, or names a document of its query again; `source` is `<file>:<line>`.
    """
    run: dict[str, dict[str, float]] = {}
    for source, fields in _fields(Path(path), 6, "query Q0 document rank score tag"):
        query, document, score = fields[0], fields[2], _score(fields[4], source)
        if document in run.setdefault(query, {}):
            raise DocumentError(
                f"Expected each document of a query once, got {document!r} again for {query!r} - at {source}",
                source=source,
            )
        run[query][document] = score
    return {query: sorted(answers.items(), key=lambda answer: -answer[1]) for query, answers in run.items()}


def write_run_file(run: Run, path: str | Path, *, tag: str = "ragvec") -> None:
    """Write a run, so that whoever reads it has our order.

    trec_eval orders by score in single precision, and equal ones by document id: a score that would be equal to the one
    before it, or above it, is written as the next smaller number. The file appears as a whole or not at all.

    Raises:
        InvalidRequest: an id or the tag is empty or holds white space, or a score is NaN or infinite.
    """
    _require_words([tag], "tag")
    _write(Path(path), _run_lines(run, tag))


def read_qrels_file(path: str | Path) -> dict[str, dict[str, int]]:
    """Judgements: {query id: {document id: grade}}, in the order of the file.

    Raises:
        ResourceNotFound: there is no such file.
        DocumentError: a line is not of this form, or judges a document again with another grade.
    """
    qrels: dict[str, dict[str, int]] = {}
    for source, (query, _, document, text) in _fields(Path(path), 4, "query 0 document grade"):
        try:
            grade = int(text)
        except ValueError:
            raise DocumentError(
                f"Expected a whole number as grade, got {text!r} - at {source}", source=source
            ) from None
        if qrels.setdefault(query, {}).setdefault(document, grade) != grade:
            raise DocumentError(
                f"Document {document!r} was judged before for query {query!r}, with another grade - at {source}",
                source=source,
            )
    return qrels


def write_qrels_file(qrels: Qrels, path: str | Path) -> None:
    """Write judgements; the file appears as a whole or not at all. Raises InvalidRequest: an id holds white space."""
    _write(
        Path(path),
        (
            f"{query} 0 {document} {grade}"
            for query, grades in qrels.items()
            if _require_words([query, *grades], "id")
            for document, grade in grades.items()
        ),
    )


def _run_lines(run: Run, tag: str) -> Iterator[str]:
    for query, answers in run.items():
        _require_words([query, *(document for document, _ in answers)], "id")
        last = np.float32(np.inf)
        for rank, (document, score) in enumerate(sorted(answers, key=lambda answer: -answer[1]), start=1):
            if not math.isfinite(score):
                raise InvalidRequest(f"Expected finite scores, got {score} of {document!r} for query {query!r}")
            with np.errstate(over="ignore"):
                single = np.float32(score)
            if not single < last:
                single = np.nextafter(last, np.float32(-np.inf))
            yield f"{query} Q0 {document} {rank} {single!s} {tag}"
            last = single


def _fields(path: Path, count: int, form: str) -> Iterator[tuple[str, list[str]]]:
    if not path.is_file():
        raise ResourceNotFound(f"Expected a file, found none - at {path}")
    for number, line in lines(path):
        source, fields = f"{path}:{number}", line.split()
        if len(fields) != count:
            raise DocumentError(f"Expected `{form}`, got {len(fields)} fields - at {source}", source=source)
        yield source, fields


def _score(text: str, source: str) -> float:
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if math.isnan(score):
        raise DocumentError(f"Expected a number as score, got {text!r} - at {source}", source=source)
    return score


def _require_words(words: Sequence[str], name: str) -> bool:
    for word in words:
        if not word or word.split() != [word]:
            raise InvalidRequest(f"Expected a text without white space as {name}, got {word!r}", path=name)
    return True


def _write(path: Path, content: Iterable[str]) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in content)
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
