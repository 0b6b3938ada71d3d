"""faiss, imported on use, and never allowed a thread of its own.

OpenMP keeps a pool of workers for every thread of the process that once used several. A child made by `fork` has the
records of the pool without its workers and waits for them for ever
(https://github.com/facebookresearch/faiss/issues/5206). And where the processors are busy with something else, the
members of a team wait for each other most of the time. So faiss works in the thread that calls it, alone, and what is
to go faster is divided among Python threads: faiss leaves the interpreter lock free.

macOS: torch and faiss each bring an OpenMP library, the second of which stops the process unless it is permitted, and
their pools disturb each other (https://github.com/faiss-wheels/faiss-wheels/issues/73); without pools they do not.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from ragvec.extras import require

__all__ = ["library", "single_thread", "workers"]

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


@contextmanager
def workers(threads: int) -> Iterator[ThreadPoolExecutor]:
    """So many threads, in each of which faiss starts no others; all have ended afterwards."""
    alone = library().omp_set_num_threads
    with ThreadPoolExecutor(threads, "ragvec-faiss-build", initializer=alone, initargs=(1,)) as pool:
        yield pool
