"""faiss, imported on use, and run so that its OpenMP threads are nobody else's concern.

OpenMP keeps the number of threads for each thread of the process apart, and a pool of workers with every thread that
once used several. A child made by `fork` has the pool's records without its workers and waits for them for ever
(https://github.com/facebookresearch/faiss/issues/5206). So searches run in the thread that asks, alone, and a build
runs in a thread of its own, whose pool ends with it.

macOS: torch and faiss each bring an OpenMP library, the second of which stops the process unless told otherwise, and
their pools disturb each other (https://github.com/faiss-wheels/faiss-wheels/issues/73). There the second is permitted,
and faiss never gets more than one thread.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from ragvec.extras import require

__all__ = ["library", "run_threaded", "single_thread"]

T = TypeVar("T")

_module: Any = None


def library() -> Any:
    """The module `faiss`. Raises MissingExtra when it is absent, ImportError when it does not fit this machine."""
    global _module
    if _module is None:
        if sys.platform == "darwin":
            os.environ.setdefault("KMP_DUPLICATE_LIB_OK", "TRUE")
        try:
            _module = require("faiss", extra="faiss", purpose="An index by faiss", package="faiss-cpu")
        except SystemExit as error:  # so it ends where its extension module is missing
            raise ImportError("faiss has no library for this machine", name="faiss") from error
    return _module


@contextmanager
def single_thread(faiss: Any) -> Iterator[None]:
    """Within, calls of faiss from this thread start no others."""
    before = faiss.omp_get_max_threads()
    if before != 1:
        faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        if before != 1:
            faiss.omp_set_num_threads(before)


def run_threaded(work: Callable[[], T], *, threads: int) -> T:
    """The result of `work`, in whose calls faiss may use `threads` threads; all of them have ended on return."""
    with ThreadPoolExecutor(1, thread_name_prefix="ragvec-faiss-build") as executor:
        executor.submit(library().omp_set_num_threads, 1 if sys.platform == "darwin" else threads).result()
        return executor.submit(work).result()
