"""The process that reads files: it opens what nobody vouches for, so that the program that wants the text need not.

`python -m ragvec.pipeline.reader` is started by `ragvec.pipeline.reading` and speaks to it in frames: a length (uint64,
little-endian) and a MessagePack document, a `Settings` once, then an `Order` and its `Reply`s at a time, the last
of which says so.

Where the system can, it limits itself: the processor time of each file, its memory, and that it writes no file. It ends
when its standard input does, or when it has been short of memory.
"""

from __future__ import annotations

import math
import os
import struct
import sys
import time
from pathlib import Path
from typing import BinaryIO

import msgspec

from ragvec.errors import DocumentError, MissingExtra
from ragvec.limits import FileLimits
from ragvec.pipeline.documents import Document, Failure
from ragvec.pipeline.loaders.opening import FileOpener
from ragvec.pipeline.loaders.place import Place

__all__ = ["Found", "Order", "Reply", "Settings", "main", "read_frame", "short_of_memory", "write_frame"]

_LENGTH = struct.Struct("<Q")
# Small documents that come fast are sent together: the other side spends some time on each message. What is held back
# when the process is ended came within that many seconds.
_ITEMS, _CHARACTERS, _SECONDS = 200, 100_000, 0.02


class Settings(msgspec.Struct, frozen=True):
    """What holds for all files."""

    limits: FileLimits


class Order(msgspec.Struct, frozen=True):
    """A file to read; `path` is as the file system has it, which need not be UTF-8. With `data` these are its bytes."""

    path: bytes
    suffix: str
    place: Place
    data: bytes | None = None


class Found(msgspec.Struct, frozen=True):
    """A document in the file, or a failure."""

    document: Document | None = None
    failure: Failure | None = None


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What comes next in the file; `done`, all of it has come, with a reason where there is no more because of it.

    `missing` is what MissingExtra is made of, `trouble` the number and the words of an OSError. After `last` the
    process ends.
    """

    items: tuple[Found, ...] = ()
    done: bool = False
    refusal: str = ""
    missing: tuple[str, str, str] | None = None
    trouble: tuple[int, str] | None = None
    last: bool = False


def write_frame(stream: BinaryIO, message: msgspec.Struct) -> None:
    """Send a message. Raises OSError when nobody reads any longer."""
    data = msgspec.msgpack.encode(message)
    stream.write(_LENGTH.pack(len(data)))
    stream.write(data)
    stream.flush()


def read_frame(stream: BinaryIO) -> bytes | None:
    """The next message as it was sent; None when the other side has ended."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    length = _LENGTH.unpack(head)[0]
    data = stream.read(length)
    return data if len(data) == length else None


def short_of_memory(limits: FileLimits) -> str:
    """What is said of a file that needs too much memory."""
    return (
        f"Expected a file that is read with {limits.memory_bytes:,} bytes of memory, got one that needs more: "
        "FileLimits(memory_bytes=…) allows more"
    )


def main() -> None:
    """Serve until standard input ends."""
    orders, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # A library that prints must not speak to the parent, nor one that reads hear it.
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    first = read_frame(orders)
    if first is None:
        return
    limits = msgspec.msgpack.decode(first, type=Settings).limits
    most = _limit_process(limits)
    while (frame := read_frame(orders)) is not None:
        order = msgspec.msgpack.decode(frame, type=Order)
        _limit_time(limits)
        try:
            reply = _serve(order, limits, replies)
            if _peak() > most:
                # A parser that is refused memory may say anything about it.
                said = f"{reply.refusal} - when it had taken nearly all of {limits.memory_bytes:,} bytes of memory"
                refusal = reply.refusal and f"{said}: FileLimits(memory_bytes=…) allows more"
                reply = msgspec.structs.replace(reply, refusal=refusal, last=True)
            write_frame(replies, reply)
        except MemoryError:
            reply = Reply(done=True, refusal=short_of_memory(limits), last=True)
            write_frame(replies, reply)
        if reply.last:
            return


def _serve(order: Order, limits: FileLimits, replies: BinaryIO) -> Reply:
    """Send what is in a file, and return what ends it. The limit of time holds for each document by itself."""
    content = Path(os.fsdecode(order.path)) if order.data is None else order.data
    items: list[Found] = []
    sent, held = time.monotonic(), 0
    try:
        for item in FileOpener(limits).open(content, order.place, order.suffix):
            if isinstance(item, Document):
                items.append(Found(document=item))
                held += len(item.text)
            else:
                items.append(Found(failure=item))
            if held >= _CHARACTERS or len(items) >= _ITEMS or time.monotonic() - sent >= _SECONDS:
                write_frame(replies, Reply(items=tuple(items)))
                items, held, sent = [], 0, time.monotonic()
            _limit_time(limits)
    except DocumentError as error:
        return Reply(items=tuple(items), done=True, refusal=error.message)
    except MissingExtra as error:
        return Reply(items=tuple(items), done=True, missing=(error.message, error.package, error.extra))
    except OSError as error:
        return Reply(items=tuple(items), done=True, trouble=(error.errno or 0, error.strerror or str(error)))
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a parser stumbles over, it is the file that made it
        reason = f"Expected a file that can be read, got one that breaks its reader: {error!r:.200}"
        return Reply(items=tuple(items), done=True, refusal=reason)
    return Reply(items=tuple(items), done=True)


def _limit_process(limits: FileLimits) -> float:
    """Set what holds for the process as a whole, and return the bytes of memory that are nearly all it can have."""
    if sys.platform == "win32":
        return math.inf
    import resource

    _set_soft(resource.RLIMIT_CORE, 0)
    _set_soft(resource.RLIMIT_FSIZE, 0)
    if sys.platform != "linux":
        # Elsewhere the limit is accepted and means nothing, or counts what the system itself has mapped.
        return math.inf
    before = _peak()
    _set_soft(resource.RLIMIT_AS, before + limits.memory_bytes)
    return before + 0.9 * limits.memory_bytes


def _peak() -> int:
    """The most bytes of addresses that this process has had; 0 where that is not known."""
    if sys.platform != "linux":
        return 0
    with Path("/proc/self/status").open(encoding="ascii") as lines:
        return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmPeak:")), 0)


def _limit_time(limits: FileLimits) -> None:
    if sys.platform == "win32":
        return
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    _set_soft(resource.RLIMIT_CPU, math.ceil(used.ru_utime + used.ru_stime + limits.seconds))


def _set_soft(name: int, value: int) -> None:
    """Set a limit, no higher than it may be."""
    import resource

    _, hard = resource.getrlimit(name)
    resource.setrlimit(name, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


if __name__ == "__main__":
    main()
