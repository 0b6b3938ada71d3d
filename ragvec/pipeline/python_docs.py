"""A corpus on every machine: the docstrings of the running Python's standard library."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator

import msgspec

from ragvec.errors import DocumentError
from ragvec.pipeline.documents import Document

__all__ = ["python_docs"]

_decode = msgspec.json.Decoder(Document).decode
_READER = "ragvec.pipeline.docstrings"


def python_docs(*, modules: Iterable[str] | None = None, limit: int | None = None) -> Iterator[Document]:
    """A document for every module, class, exception, function, method and property of the standard library that has a
    docstring of its own.

    The id and title is the dotted name ("json.dumps"), the text is the signature and the docstring. Attributes:
    `module`, `kind` (module, class, exception, function, method, property), `public` (no part of the name begins with
    an underscore), `length` of the docstring in characters, and the version of Python.

    The order is that of the names, public modules first; what is reachable from several modules comes once, under the
    module that defines it unless that is a private one; a docstring that a member of the same name has already is left
    out, as most inherited ones are. `modules` narrows it to these and their submodules; `limit` ends it early. Modules
    that this machine lacks or that act when imported are left out.

    The library is imported in a process of its own: this one is left as it is, and what it has imported so far makes no
    difference to what comes.

    Raises:
        DocumentError: that process failed.
    """
    wanted = [] if modules is None else list(modules)
    if modules is not None and not wanted:
        return
    options = [] if limit is None else [f"--limit={limit}"]
    reader = subprocess.Popen(
        [sys.executable, "-m", _READER, *options, *wanted],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "ignore"},
    )
    try:
        documents, complaints = reader.communicate()
    finally:
        reader.kill()
    if reader.returncode:
        last = complaints.decode(errors="replace").strip().rpartition("\n")[2]
        raise DocumentError(f"The docstrings of the standard library could not be read: {last}", source="python-docs")
    for line in documents.splitlines():
        yield _decode(line)
