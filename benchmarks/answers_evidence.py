"""Where the evidence of a question stands in the passages of an index, although tables are written otherwise there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

from ragvec.evaluation.questions import Question
from ragvec.kendra.found import Found
from ragvec.pipeline.passages import TEXT

__all__ = ["Place", "overlaps", "places"]

_WORD = re.compile(r"[^\W_]+(?:[.,]\d+)*")
_HALF = 0.45
_ENOUGH = 3

Place = tuple[str, list[tuple[int, int]]]
"""The key of a passage, and the words of it that are evidence, as [begin, end)."""


def places(question: Question, passages: Iterable[Found]) -> list[Place]:
    """Where the question's evidence stands: passages of its documents with nearly half of its words or more."""
    found = []
    for evidence in question.evidence:
        sought = [word for word, _, _ in _words(evidence.text)]
        for passage in passages:
            if passage.document_id == evidence.document:
                words = _words(passage.metadata[TEXT])
                matched = _aligned(sought, [word for word, _, _ in words])
                if len(matched) >= _HALF * len(sought):
                    found.append((passage.key, [words[at][1:] for at in matched]))
    return found


def overlaps(key: str, begin: int, end: int, gold: Sequence[Place]) -> bool:
    """Whether [begin, end) of a passage has three words of evidence or more, or all of it that is there."""
    for place, words in gold:
        shared = sum(first >= begin and last <= end for first, last in words)
        if place == key and shared >= min(_ENOUGH, len(words)):
            return True
    return False


def _words(text: str) -> list[tuple[str, int, int]]:
    return [(match.group().lower(), match.start(), match.end()) for match in _WORD.finditer(text)]


def _aligned(sought: Sequence[str], words: Sequence[str]) -> list[int]:
    """The words matched by the best local alignment. Words left out of `words` cost little: there the names of columns
    stand between the cells of a row.
    """
    scores = np.zeros((len(sought) + 1, len(words) + 1))
    steps = np.zeros(scores.shape, dtype=int)
    for i in range(1, len(sought) + 1):
        for j in range(1, len(words) + 1):
            same = scores[i - 1, j - 1] + 2 if sought[i - 1] == words[j - 1] else -1.0
            options = (0.0, same, scores[i, j - 1] - 0.25, scores[i - 1, j] - 1)
            steps[i, j] = max(range(4), key=options.__getitem__)
            scores[i, j] = options[steps[i, j]]
    i, j = (int(part) for part in np.unravel_index(np.argmax(scores), scores.shape))
    matched = []
    while i > 0 and j > 0 and steps[i, j]:
        if steps[i, j] == 1:
            matched.append(j - 1)
        i, j = i - (steps[i, j] != 2), j - (steps[i, j] != 3)
    return matched[::-1]
