"""Documents, queries and judgements out of pandas DataFrames; pandas itself is not imported, and no frame is modified.

Columns are known by the names that ragvec, ir-measures, PyTerrier and BEIR give them. Every error names the frame and,
where one is at fault, the row by its label.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ragvec.errors import InvalidRequest
from ragvec.pipeline.documents import Document

__all__ = ["check_documents", "frame_documents", "frame_qrels", "frame_queries"]

_DOCUMENT_ID = ("document_id", "doc_id", "docno", "corpus-id")
_QUERY_ID = ("query_id", "qid", "query-id")
_OWN_ID = ("id", "_id")
_DOCUMENT_TEXT = ("text",)
_QUERY_TEXT = ("text", "query", "question")
_GRADE = ("grade", "relevance", "label", "score")


def check_documents(frame: Any) -> None:
    """Raise InvalidRequest unless the frame has the columns that documents need."""
    _column(frame, _DOCUMENT_ID + _OWN_ID, name="documents")
    _column(frame, _DOCUMENT_TEXT, name="documents")


def frame_documents(frame: Any) -> Iterator[Document]:
    """A document a row, in the order of the frame; columns other than id, title and text are attributes."""
    of_id = _column(frame, _DOCUMENT_ID + _OWN_ID, name="documents")
    of_text = _column(frame, _DOCUMENT_TEXT, name="documents")
    for place, values in _rows(frame, name="documents"):
        identity, text = values.pop(of_id, None), values.pop(of_text, None)
        yield Document(
            id=_id(identity, place=place, column=of_id),
            title=_text(values.pop("title", ""), place=place, column="title"),
            text=_text(text, place=place, column=of_text),
            attributes=values,
        )


def frame_queries(frame: Any) -> dict[str, str]:
    """{query id: text}, in the order of the frame."""
    of_id = _column(frame, _QUERY_ID + _OWN_ID, name="queries")
    of_text = _column(frame, _QUERY_TEXT, name="queries")
    queries: dict[str, str] = {}
    for place, values in _rows(frame, name="queries"):
        query = _id(values.get(of_id), place=place, column=of_id)
        if query in queries:
            raise InvalidRequest(f"Expected each query once, got {query!r} again - at {place}")
        queries[query] = _text(values.get(of_text), place=place, column=of_text)
    return queries


def frame_qrels(frame: Any) -> dict[str, dict[str, int]]:
    """{query id: {document id: grade}}, in the order of the frame."""
    of_query = _column(frame, _QUERY_ID, name="qrels")
    of_document = _column(frame, _DOCUMENT_ID, name="qrels")
    of_grade = _column(frame, _GRADE, name="qrels")
    qrels: dict[str, dict[str, int]] = {}
    for place, values in _rows(frame, name="qrels"):
        query = _id(values.get(of_query), place=place, column=of_query)
        document = _id(values.get(of_document), place=place, column=of_document)
        grade = _whole(values.get(of_grade))
        if not isinstance(grade, int):
            raise InvalidRequest(f"Expected a whole number as `{of_grade}`, got {grade!r} - at {place}")
        if qrels.setdefault(query, {}).setdefault(document, grade) != grade:
            raise InvalidRequest(
                f"Document {document!r} was judged before for query {query!r}, with another grade - at {place}"
            )
    return qrels


def _column(frame: Any, names: tuple[str, ...], *, name: str) -> str:
    there = [column for column in names if column in frame.columns]
    if len(there) == 1:
        return there[0]
    got = " and ".join(there) or f"the columns {', '.join(map(str, frame.columns))}"
    raise InvalidRequest(f"Expected one column named {' or '.join(names)}, got {got} - in the frame of {name}")


def _rows(frame: Any, *, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, {column: value}) of each row, missing values left out."""
    columns = [str(column) for column in frame.columns]
    values = frame.itertuples(index=False, name=None)
    present = frame.notna().itertuples(index=False, name=None)
    for label, row, there in zip(frame.index, values, present, strict=True):
        yield (
            f"{name}[{label!r}]",
            {column: _plain(value) for column, value, is_there in zip(columns, row, there, strict=True) if is_there},
        )


def _plain(value: Any) -> Any:
    """Python's own form of numpy's scalars and arrays and of pandas' dates; anything else as it is."""
    if hasattr(value, "to_pydatetime"):
        return value.to_pydatetime()
    return value.tolist() if hasattr(value, "tolist") else value


def _whole(value: Any) -> Any:
    """A float without a fraction as int, since a column of whole numbers with a gap is one of floats; or the value."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _id(value: Any, *, place: str, column: str) -> str:
    value = _whole(value)
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise InvalidRequest(f"Expected text or a whole number as `{column}`, got {value!r} - at {place}")
    return str(value)


def _text(value: Any, *, place: str, column: str) -> str:
    if not isinstance(value, str):
        raise InvalidRequest(f"Expected text as `{column}`, got {value!r} - at {place}")
    return value
