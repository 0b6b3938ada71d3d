"""Why a passage and its document stand where they do: every number of the way, from rankings to the final score."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import msgspec

from ragvec.extras import require
from ragvec.kendra.found import Confidence

if TYPE_CHECKING:
    import pandas

__all__ = ["DocumentReasons", "FieldReasons", "PassageReasons", "RankingExplanation", "cut"]

_CUT = 60


class FieldReasons(msgspec.Struct, frozen=True, kw_only=True):
    """What the words of a text field gave a passage: `weight` × `bm25`. `rank` is its place among the passages with a
    word there, from 1; None beyond the depth, or without a word. `synonyms` tells that a thesaurus brought the words.
    """

    field: str
    weight: float
    bm25: float
    rank: int | None
    synonyms: bool = False

    def __repr__(self) -> str:
        place = "" if self.rank is None else f", rank {self.rank}"
        return f"{self.field}{' by synonyms' if self.synonyms else ''} {self.weight:g} × {self.bm25:.3f}{place}"


class PassageReasons(msgspec.Struct, frozen=True, kw_only=True):
    """A passage. `relevance` is made of `similarity` and `coverage`, and moved to `score` by the `factors` of tuned
    fields, which multiply its odds, and by the `feedback`, which is added. `coverage` is that of the weighted sum of
    its `fields` and of the `context`, which is what the words of its document's other passages count for it. None
    where there was no such part.
    """

    key: str
    excerpt: str
    similarity: float | None
    similarity_rank: int | None
    fields: tuple[FieldReasons, ...]
    context: float
    coverage: float | None
    relevance: float
    factors: dict[str, float]
    feedback: float
    score: float


class DocumentReasons(msgspec.Struct, frozen=True, kw_only=True):
    """A document. Its score is that of its best passage and what the next one adds; `place` is from 1 in the order of
    relevance. One that was not found has `place` None, and `missing` tells why.
    """

    document_id: str
    title: str
    place: int | None
    score: float | None
    confidence: Confidence
    added: float
    passages: tuple[PassageReasons, ...]
    missing: str = ""


class RankingExplanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why documents rank as they do for a text. `print` it, or have it as a table with `to_pandas()`.

    `words` is the share of words in a relevance, 0 where only vectors were compared, 1 where the embedder made nothing
    of the text. `floor` is the relevance from which a passage counts as found; `found` and `documents` are how many
    passages and documents were, of `candidates`. `synonyms` are the words that the thesaurus added.
    """

    text: str
    words: float
    floor: float
    candidates: int
    found: int
    documents: int
    synonyms: tuple[str, ...]
    items: tuple[DocumentReasons, ...]

    def __repr__(self) -> str:
        lines = [self._head()]
        for item in self.items:
            lines.append(_title(item))
            lines += [f"     {line}" for passage in item.passages for line in self._passage(passage)]
            if item.added:
                lines.append(f"     the next passage adds {item.added:.3f}: {item.score or 0:.3f}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        parts = [f"<div>{html.escape(self._head())}</div>"]
        for item in self.items:
            lines = [line for passage in item.passages for line in self._passage(passage)]
            if item.added:
                lines.append(f"the next passage adds {item.added:.3f}: {item.score or 0:.3f}")
            body = "".join(f"<div>{html.escape(line)}</div>" for line in lines)
            parts.append(f'<div dir="auto"><b>{html.escape(_title(item))}</b></div><small>{body}</small>')
        return f'<div style="max-width:60em;line-height:1.4;overflow-wrap:anywhere">{"".join(parts)}</div>'

    def to_pandas(self) -> pandas.DataFrame:
        """A DataFrame of a row a passage: document_id, place, score of the document, confidence, passage, similarity,
        similarity_rank, "bm25:<field>", "rank:<field>", context, coverage, relevance, "factor:<field>", feedback,
        passage_score.

        Raises:
            MissingExtra: pandas is not installed.
        """
        pandas = require("pandas", extra="notebook", purpose="to_pandas()")
        return pandas.DataFrame([_row(item, passage) for item in self.items for passage in item.passages])

    def _head(self) -> str:
        shares = {0.0: "by vectors", 1.0: "by words"}.get(
            self.words, f"by words ({self.words:.0%}) and vectors ({1 - self.words:.0%})"
        )
        added = f", with the synonyms {', '.join(self.synonyms)}" if self.synonyms else ""
        return (
            f"{self.text!r} {shares}{added}: {self.documents:,} documents in {self.found:,} passages at or above "
            f"{self.floor:.3f}, of {self.candidates:,} candidates"
        )

    def _passage(self, passage: PassageReasons) -> list[str]:
        parts = []
        if passage.similarity is not None:
            place = "" if passage.similarity_rank is None else f" (rank {passage.similarity_rank})"
            weight = "" if not self.words else f"{1 - self.words:g} × "
            parts.append(f"{weight}{passage.similarity:.3f} similar{place}")
        if passage.coverage is not None:
            weight = "" if self.words == 1 else f"{self.words:g} × "
            parts.append(f"{weight}{passage.coverage:.3f} covered")
        lines = [f"{passage.key}  {passage.relevance:.3f} = {' + '.join(parts)}"]
        said = "; ".join(repr(field) for field in passage.fields if field.bm25)
        said += f"; other passages of the document {passage.context:.3f}" if passage.context else ""
        if said:
            lines.append(f"  BM25 {said}")
        moved = [f"{name} × {factor:.3f}" for name, factor in passage.factors.items()]
        if moved:
            lines.append(f"  odds tuned by {', '.join(moved)}")
        if passage.feedback:
            lines.append(f"  feedback {passage.feedback:+.3f}")
        if moved or passage.feedback:
            lines.append(f"  score {passage.score:.3f}")
        return [*lines, f"  {passage.excerpt}"]


def _title(item: DocumentReasons) -> str:
    name = f"{item.title} ({item.document_id})" if item.title else item.document_id
    if item.place is None:
        return f"  –  {name}: {item.missing}"
    return f"{item.place:3}. {name}  {item.score or 0:.3f} {item.confidence}"


def _row(item: DocumentReasons, passage: PassageReasons) -> dict[str, Any]:
    row: dict[str, Any] = {
        "document_id": item.document_id,
        "place": item.place,
        "score": item.score,
        "confidence": item.confidence,
        "passage": passage.key,
        "similarity": passage.similarity,
        "similarity_rank": passage.similarity_rank,
    }
    for field in passage.fields:
        name = f"{field.field}+synonyms" if field.synonyms else field.field
        row |= {f"bm25:{name}": field.bm25, f"rank:{name}": field.rank}
    row |= {"context": passage.context, "coverage": passage.coverage, "relevance": passage.relevance}
    row |= {f"factor:{name}": factor for name, factor in passage.factors.items()}
    return row | {"feedback": passage.feedback, "passage_score": passage.score}


def cut(text: str) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= _CUT else line[: _CUT - 1] + "…"
