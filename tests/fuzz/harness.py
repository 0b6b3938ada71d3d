"""What fuzz targets share: JSON of any kind out of bytes, a scratch folder, the mutator, and the cases that are kept.

A target is a function of bytes. It returns, or it raises: whatever it raises is a defect, since each target catches the
errors that its part of the product documents, and asserts what must hold whatever the bytes are.
"""

from __future__ import annotations

import atexit
import functools
import json
import random
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ragvec.cli.problems import CommandError
from ragvec.errors import RagvecError

__all__ = [
    "ABSENT",
    "CORPUS",
    "Target",
    "decoded",
    "kept_cases",
    "mutants",
    "mutated",
    "scratch",
    "scratch_file",
    "text_of",
    "told",
]

CORPUS = Path(__file__).parent / "corpus"
ABSENT = object()
"""What `decoded` gives for bytes that are no JSON."""

_BYTES = (b"\x00", b"\xff", b"\x7f", b"\x80", b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\xff\xff\xff\x7f")
_JSON = (
    b"[" * 90,
    b"{}",
    b"null",
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"-0",
    b"18446744073709551616",
    b'"\\ud800"',
    b"\\u0000",
)
_TEXTS = (
    b"..",
    b"/",
    b"$",
    b"'",
    b'"',
    b"<",
    b"&",
    b"\r\n",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xae",
    b"\x1b[31m",
    b"%s",
    b" " * 50,
)
_INTERESTING = (*_BYTES, *_JSON, *_TEXTS)
_LONGEST = 5_000


class Target(NamedTuple):
    """A function of bytes, and what its inputs look like."""

    name: str
    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


def decoded(data: bytes) -> Any:
    """The JSON in `data`, also what only Python takes for it (NaN, lone surrogates, huge integers), or ABSENT."""
    try:
        return json.loads(data.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        return ABSENT


def told(error: RagvecError | CommandError, part: str = "") -> None:
    """Check that an error says something, `part` among it, and does not quote its cause without end."""
    message = str(error)
    assert message, f"an error that says nothing: {error!r}"
    assert part in message, message
    assert len(message) < _LONGEST + len(part), f"a message of {len(message):,} characters: {message[:100]}"


def text_of(data: bytes) -> str:
    """Any text: UTF-8, with lone surrogates where it is none."""
    return data.decode("utf-8", "surrogateescape")


@functools.cache
def scratch() -> Path:
    """A folder of this process, in memory where there is such a place."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="ragvec-fuzz-", dir=memory if memory.is_dir() else None))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def scratch_file(name: str, data: bytes) -> Path:
    """A file of this name in the scratch folder that holds `data`."""
    path = scratch() / name
    path.write_bytes(data)
    return path


def kept_cases(name: str) -> Iterator[tuple[str, bytes]]:
    """Inputs of a target that once showed a defect, by file name."""
    for path in sorted((CORPUS / name).glob("*")):
        yield path.name, path.read_bytes()


def mutants(seeds: Iterable[bytes], *, seed: int) -> Iterator[bytes]:
    """Inputs without end: the seeds, then changed ones, the same for the same `seed`."""
    pool = list(seeds) or [b""]
    yield from pool
    source = random.Random(seed)
    while True:
        yield mutated(source, pool)


def mutated(source: random.Random, pool: list[bytes]) -> bytes:
    """One of the pool with one to six changes: bytes set, cut out, repeated, moved, or taken from another."""
    data = bytearray(source.choice(pool))
    for _ in range(source.randint(1, 6)):
        at = source.randrange(len(data) + 1)
        match source.randrange(6):
            case 0 if at < len(data):
                data[at] = source.randrange(256)
            case 1 if at < len(data):
                data[at] ^= 1 << source.randrange(8)
            case 2:
                del data[at : at + source.randint(1, 1 + len(data) // 4)]
            case 3:
                piece = bytes(data[at : at + source.randint(1, 16)])
                data[at:at] = piece * source.choice((1, 2, 7, 40))
            case 4:
                data[at:at] = source.choice(_INTERESTING)
            case _:
                other = source.choice(pool)
                begin = source.randrange(len(other) + 1)
                data[at : at + source.choice((0, 8))] = other[begin : begin + source.randint(1, 64)]
    return bytes(data[:65_536])
