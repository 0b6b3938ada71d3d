"""Feedback on results, and what it does to later queries.

A person who finds a document relevant for a query gives it +1, not relevant -1, by a click +0.3; a person's last
verdict on a document for a query counts, and their clicks on it count once. Whoever is not known counts once a query.
Votes lose half their weight in 30 days. With S the sum of weights that a document has for queries of the same words
(their stems, whatever their order, stop words aside),

    boost = 0.2 * S / (|S| + 2)

is added to the document's relevance, which goes from 0 to 1: 0.067 after one vote, 0.1 after two, never more than 0.2
either way. Only what a query finds anyway is moved.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from ragvec.extras import require
from ragvec.kendra.learn.cached import Latest
from ragvec.kendra.learn.journal import Asked
from ragvec.kendra.notes import Notes
from ragvec.text.words import words

if TYPE_CHECKING:
    import pandas

__all__ = ["HALF_LIFE", "MOST", "Judgement", "Vote", "boosts", "judgements", "judgements_frame", "submit", "votes"]

MOST = 0.2
"""The most that feedback adds to a document's relevance, or takes from it."""
HALF_LIFE = 30 * 86_400.0
"""Seconds in which a vote loses half its weight."""

_HALF_WAY = 2.0
_WEIGHTS = {"relevant": 1.0, "irrelevant": -1.0, "click": 0.3}
_NAME = "feedback"
_ENTRIES = 64
_MERGED = 4096
_KEPT = 365 * 86_400.0

Verdict: TypeAlias = Literal["relevant", "irrelevant", "click"]


class Vote(msgspec.Struct, frozen=True, array_like=True):
    """What somebody said of a result, or that they followed it. `rank` is its place on its page, from 1."""

    query: str
    at: float
    text: str
    who: str
    document: str
    rank: int
    verdict: Verdict


class Judgement(msgspec.Struct, frozen=True, order=True):
    """How relevant a document is for a query: grade 2 was found relevant, 1 was clicked, 0 was found not relevant."""

    query: str
    document: str
    grade: int


class _Batch(msgspec.Struct, frozen=True):
    votes: tuple[Vote, ...]


def submit(
    notes: Notes,
    asked: Asked,
    said: Iterable[tuple[int, Verdict, float | None]],
    *,
    clock: Callable[[], float] = time.time,
) -> None:
    """Note votes on results of a query: the position in `asked.shown`, the verdict, and when it was given.

    Without a time, or with one to come, a vote counts from now on.
    """
    now = clock()
    given = tuple(
        Vote(
            asked.id,
            now if at is None else min(at, now),
            asked.text,
            asked.who or asked.id,
            asked.shown[place].document,
            place + 1,
            verdict,
        )
        for place, verdict, at in said
    )
    if not given:
        return
    notes.append(_NAME, _Batch(given), at=int(now * 1e9))
    if len(entries := notes.entries(_NAME)) > _ENTRIES:
        _merge(notes, entries, now=now)
    # What was made of the votes is made anew wherever this is seen.
    mark = uuid.uuid4().hex
    notes.change(f"{_NAME}.version", str, lambda _: mark)


def _merge(notes: Notes, entries: Sequence[str], *, now: float) -> None:
    """Put all entries into few; what weighs nothing any more is dropped.

    Where two processes do so at once, votes stand twice, which changes nothing: a person's votes count once.
    """
    kept = [vote for vote in votes(notes) if vote.at >= now - _KEPT]
    for first in range(0, len(kept), _MERGED):
        notes.append(_NAME, _Batch(tuple(kept[first : first + _MERGED])), at=int(now * 1e9))
    for entry in entries:
        notes.forget(_NAME, entry)


def votes(notes: Notes) -> list[Vote]:
    """Every vote, in order of time, each once."""
    found = {vote for batch in notes.journal(_NAME, _Batch).values() for vote in batch.votes}
    return sorted(found, key=lambda vote: (vote.at, vote.query, vote.document, vote.verdict))


class _Counted:
    """The votes that count, by the words of their query."""

    def __init__(self, all_votes: Iterable[Vote]) -> None:
        last: dict[tuple[frozenset[str] | str, str, str, bool], Vote] = {}
        for vote in all_votes:
            words_of = _key(vote.text)
            last[words_of, vote.document, vote.who, vote.verdict == "click"] = vote
        self.by_words: dict[frozenset[str] | str, list[Vote]] = {}
        for (words_of, *_), vote in last.items():
            self.by_words.setdefault(words_of, []).append(vote)


_counted: Latest[_Counted] = Latest()


def boosts(notes: Notes, text: str, *, clock: Callable[[], float] = time.time) -> Mapping[str, float]:
    """What feedback adds to the relevance of documents for this query, by document id, from -0.2 to 0.2; documents that
    nobody judged are left out."""
    version = notes.read(f"{_NAME}.version", str)
    if version is None:
        return {}
    counted = _counted.of(notes.index.uid, version, partial(_count, notes))
    sums: dict[str, float] = {}
    now = clock()
    for vote in counted.by_words.get(_key(text), ()):
        weight = _WEIGHTS[vote.verdict] * 0.5 ** (max(0.0, now - vote.at) / HALF_LIFE)
        sums[vote.document] = sums.get(vote.document, 0.0) + weight
    return {document: MOST * total / (abs(total) + _HALF_WAY) for document, total in sums.items() if total}


def judgements(notes: Notes) -> tuple[Judgement, ...]:
    """Every judged pair of a query, as the journal has its text, and a document, in order. Where people disagree, the
    majority has it; a tie of verdicts is left out unless the document was clicked."""
    verdicts: dict[tuple[str, str], list[Verdict]] = {}
    for same in _count(notes).by_words.values():
        for vote in same:
            verdicts.setdefault((vote.text, vote.document), []).append(vote.verdict)
    found = []
    for (query, document), given in verdicts.items():
        balance = given.count("relevant") - given.count("irrelevant")
        if balance or "click" in given:
            found.append(Judgement(query, document, 2 if balance > 0 else 0 if balance < 0 else 1))
    return tuple(sorted(found))


def judgements_frame(notes: Notes) -> pandas.DataFrame:
    """The judgements as a DataFrame with the columns query, document and grade.

    Raises:
        MissingExtra: pandas is not installed.
    """
    frames = require("pandas", extra="notebook", purpose="judgements_frame()")
    rows = [(each.query, each.document, each.grade) for each in judgements(notes)]
    frame: pandas.DataFrame = frames.DataFrame(rows, columns=["query", "document", "grade"])
    return frame


def _count(notes: Notes) -> _Counted:
    return _Counted(votes(notes))


def _key(text: str) -> frozenset[str] | str:
    """The stems of a query; the text itself, in lower case, where it has none."""
    return frozenset(word.term for word in words(text) if word.term) or " ".join(text.lower().split())
