"""Answers for a question from the passages found for it, or none."""

from __future__ import annotations

from collections.abc import Sequence

from ragvec.kendra.answers.excerpt import table_excerpt
from ragvec.kendra.answers.reader import Reader, ReadSpan, checked_spans
from ragvec.kendra.answers.sentences import SentenceReader
from ragvec.kendra.found import Answer, Found
from ragvec.pipeline.passages import TEXT
from ragvec.protocols import Embedder
from ragvec.types import FloatVector

__all__ = ["find_answers"]


def find_answers(
    question: str,
    passages: Sequence[Found],
    *,
    embed: Embedder,
    reader: Reader | None = None,
    most: int = 3,
    vector: FloatVector | None = None,
) -> list[Answer]:
    """At most `most` answers, the surest first, no two from one document; none where nothing is sure enough.

    `passages` are those found, best first, with their text in the metadata. An answer's `[begin, end)` are characters
    of its passage's text; its `score` is the reader's, and its confidence VERY_HIGH, HIGH or MEDIUM, by the reader's
    levels. An answer that is a row of a table, or lies in one, has an excerpt of the table. Without a `reader`,
    sentences are judged with `embed`; `vector` is the question's vector by it, where that is known already. Ties are in
    order of the passages.

    Raises:
        InvalidRequest: the reader gave a span outside its passage.
        MissingExtra, ModelError: the reader's model cannot be loaded.
    """
    readable = [passage for passage in passages if (passage.metadata.get(TEXT) or "").strip()]
    if most < 1 or not readable or not question.strip():
        return []
    texts: list[str] = [passage.metadata[TEXT] for passage in readable]
    if reader is None:
        shipped = SentenceReader(embed)
        levels, spans = shipped.levels, shipped.read_found(question, readable, vector=vector)
    else:
        levels, spans = reader.levels, checked_spans(reader.read(question, texts), texts)
    sure = [span for span in spans if span.score >= levels.least]
    chosen: dict[str, ReadSpan] = {}
    for span in sorted(sure, key=lambda span: (-span.score, span.passage, span.begin, span.end)):
        chosen.setdefault(readable[span.passage].document_id, span)
    return [
        Answer(
            passage=readable[span.passage],
            begin=span.begin,
            end=span.end,
            confidence=levels.confidence(span.score),
            score=span.score,
            table=table_excerpt(question, span, readable, confidence=levels.confidence(span.score)),
        )
        for span in list(chosen.values())[:most]
    ]
