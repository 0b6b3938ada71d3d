"""Documents made of passages: each by its best passage, with a share of the next one.

The relevance of a document is s₁ + more × (1 − s₁) × s₂, where s₁ and s₂ are those of its best two passages found and
`more` is that of the scale: a second passage that speaks of the subject closes a part of the gap to certainty. It stays
in [0, 1], is never below that of the best passage, and with `more` 0 is that of the best passage.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ragvec.kendra.found import Found
from ragvec.kendra.rank.versions import Versions, newest

__all__ = ["aggregated", "best_documents"]


def best_documents(passages: Iterable[Found], *, more: float = 0.0, versions: Versions | None = None) -> list[Found]:
    """The documents of `passages`, which are in order, each once, most relevant first; equal ones keep the order of
    their best passages. Each is its best passage, with the score of the document.

    With `versions`, those are left out that others of them replace.
    """
    found = _documents(passages, more=more)
    return found if versions is None else newest(found, versions)


def aggregated(best: float, second: float, *, more: float) -> float:
    """The relevance of a document whose best two passages have these."""
    return best + more * (1.0 - best) * second


def _documents(passages: Iterable[Found], *, more: float) -> list[Found]:
    best: dict[str, Found] = {}
    second: dict[str, float] = {}
    for passage in passages:
        document = passage.document_id
        if document not in best:
            best[document] = passage
        elif document not in second:
            second[document] = passage.score or 0.0
    if not more:
        return list(best.values())
    found = [
        msgspec.structs.replace(passage, score=aggregated(passage.score or 0.0, second[document], more=more))
        if document in second
        else passage
        for document, passage in best.items()
    ]
    return sorted(found, key=lambda each: -(each.score or 0.0))
