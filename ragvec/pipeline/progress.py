"""Progress of a run, in a terminal, in a notebook, or in a log."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any

__all__ = ["Progress"]


class Progress:
    """A bar over documents, where somebody sees it move; one line a stage at the end where it would fill a log.

    A bar is drawn on a terminal and in a notebook. `total` is the expected number of documents, None when unknown.
    """

    def __init__(self, *, shown: bool, total: int | None = None) -> None:
        self._lines = shown
        self._bar: Any = None
        self._chunks = 0
        if shown and (sys.stderr.isatty() or _in_notebook()):
            self._lines = False
            with warnings.catch_warnings():
                # Without ipywidgets tqdm warns, and draws a text bar, which serves as well.
                warnings.simplefilter("ignore")
                from tqdm.auto import tqdm

                # A terminal may say that it is 0 columns wide (containers do); tqdm would then draw nothing.
                width = None if _columns() else 80
                self._bar = tqdm(
                    total=total, unit=" documents", desc="ingest", ncols=width, dynamic_ncols=width is None
                )

    def documents(self, count: int = 1) -> None:
        """So many more documents are done with."""
        if self._bar is not None:
            self._bar.update(count)

    def embedded(self, count: int) -> None:
        """So many more chunks are embedded."""
        self._chunks += count
        if self._bar is not None:
            self._bar.set_postfix_str(f"{self._chunks:,} chunks embedded")

    def finish(self, lines: list[str]) -> None:
        """The run is over; `lines`, one a stage, are for the log."""
        self.close()
        if self._lines:
            sys.stderr.write("".join(f"{line}\n" for line in lines))

    def close(self) -> None:
        """Put the bar away, as it stands."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):
        return 80


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return type(shell).__name__ == "ZMQInteractiveShell"
