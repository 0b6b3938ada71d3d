"""Progress of a run, in a terminal, in a notebook, or in a log."""

from __future__ import annotations

import os
import sys
import threading
import time
import warnings
from typing import Any

__all__ = ["Progress"]

_KNOWN = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} documents{postfix} [{elapsed}<{remaining}]"
_UNKNOWN = "{desc}: {n_fmt} documents{postfix} [{elapsed}]"
_TICK = 1.0
"""Seconds after which the clock of the bar moves: loading a model or embedding one long document takes many."""


class Progress:
    """A bar over documents, where somebody sees it move; one line a stage at the end where it would fill a log.

    A bar is drawn on a terminal and in a notebook; its methods may be called from several threads. `total` is the
    expected number of documents, None when unknown.
    """

    def __init__(self, *, shown: bool, total: int | None = None) -> None:
        self._lines = shown
        self._bar: Any = None
        self._chunks = 0
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._clock: threading.Thread | None = None
        if shown and (sys.stderr.isatty() or _in_notebook()):
            self._lines = False
            with warnings.catch_warnings():
                # Without ipywidgets tqdm warns, and draws a text bar, which serves as well.
                warnings.simplefilter("ignore")
                from tqdm.auto import tqdm

                # In a terminal that gives its size as 0 by 0, as in some containers, tqdm would draw nothing.
                size: dict[str, Any] = {"dynamic_ncols": True} if _has_size() else {"ncols": 80, "nrows": 24}
                layout = _UNKNOWN if total is None else _KNOWN
                # Documents come in bursts, a window at a time: only the mean over the run says when it will end.
                self._bar = tqdm(total=total, desc="ingest", bar_format=layout, smoothing=0, **size)
            self._clock = threading.Thread(target=self._tick, name="ragvec-progress", daemon=True)
            self._clock.start()

    def documents(self, count: int = 1) -> None:
        """So many more documents are done with."""
        if self._bar is not None:
            with self._lock:
                self._bar.update(count)

    def embedded(self, count: int) -> None:
        """So many more chunks are embedded."""
        with self._lock:
            self._chunks += count
            if self._bar is not None:
                rate = self._chunks / max(time.monotonic() - self._began, 1e-9)
                self._bar.set_postfix_str(f"{self._chunks:,} chunks embedded, {rate:,.0f}/s")

    def finish(self, lines: list[str]) -> None:
        """The run is over; `lines`, one a stage, are for the log."""
        self.close()
        if self._lines:
            sys.stderr.write("".join(f"{line}\n" for line in lines))

    def close(self) -> None:
        """Put the bar away, as it stands."""
        self._closed.set()
        if self._clock is not None:
            self._clock.join()
            self._clock = None
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _tick(self) -> None:
        while not self._closed.wait(_TICK):
            self._bar.refresh()


def _has_size() -> bool:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (OSError, ValueError):
        return True


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return type(shell).__name__ == "ZMQInteractiveShell"
