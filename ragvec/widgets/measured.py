"""How much a search finds of what is nearest, measured with the index's own vectors."""

from __future__ import annotations

import html
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from ragvec.evaluation.recall import index_recall
from ragvec.widgets.tables import html_said, html_table

if TYPE_CHECKING:
    from ragvec.store import Index

__all__ = ["html_recall"]


def html_recall(index: Index, *, queries: int = 100) -> str:
    """The recall at 10 by effort, for vectors evenly taken of the first 100 times `queries`."""
    first = list(islice(index.iter(data=True, metadata=False), 100 * queries))
    some = [record.data for record in first[:: max(1, len(first) // queries)][:queries] if record.data is not None]
    if not some:
        return html_said("There are no vectors.")
    found = index_recall(index, np.stack(some))
    rows = [(f"{each.effort:g}", f"{each.recall:.4f}", f"{each.microseconds:,.0f}") for each in found.efforts]
    table = html_table(
        ("effort", "recall at 10", "microseconds"),
        rows,
        right=("effort", "recall at 10", "microseconds"),
        caption=f"Recall of {found.queries:,} of its own vectors",
    )
    return f"{table}<div>{html.escape(found.advice)}</div>"
