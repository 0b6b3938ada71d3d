"""Reading lists that come in pages to their ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ragvec.engine.protocol import Page

__all__ = ["PAGE", "every"]

PAGE = 1000
"""Names asked for at a time."""


def every(page_after: Callable[[str | None], Page]) -> Iterator[Any]:
    """The items of all pages; `page_after` gives the page after a name."""
    after: str | None = None
    while True:
        page = page_after(after)
        yield from page.items
        if page.next_after is None:
            return
        after = page.next_after
