"""Reading files in a process of its own, which is given a time and a memory, and is replaced when it ends.

A parser of untrusted files can be made to loop or to fill the memory, and in Python nothing else than the end of its
process stops it. Starting one takes about 0.1 s of a processor, once a run; handing over a file and its text takes less
than a millisecond.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import msgspec

import ragvec
from ragvec.errors import DocumentError, MissingExtra, RagvecError
from ragvec.limits import FileLimits
from ragvec.pipeline.documents import Document, Failure
from ragvec.pipeline.loaders.opening import FileOpener
from ragvec.pipeline.loaders.place import Place
from ragvec.pipeline.loaders.source import Content
from ragvec.pipeline.reader import Order, Reply, Settings, read_frame, short_of_memory, write_frame

__all__ = ["Reader"]

_ROOT = Path(ragvec.__file__).absolute().parent.parent
_CLOCK = 10.0
"""So many times its processor time a file may take by the clock: it waits for disks, and for other processes."""


class Reader:
    """Reads files one after the other, as a context manager; one thread at a time.

    The process starts with the first file. What it did for one file cannot touch what it does for the next: after every
    file that it could not finish there is a new one.
    """

    def __init__(self, limits: FileLimits) -> None:
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def documents(self, content: Content, place: Place, suffix: str) -> Iterator[Document | Failure]:
        """What `ragvec.pipeline.loaders.opening.FileOpener.open` gives or raises, as it comes; also a DocumentError for
        a file that took too long or too much memory, after the documents that came before."""
        if not self._limits.isolate:
            yield from _plainly(FileOpener(self._limits).open(content, place, suffix))
            return
        path, data = (b"", content) if isinstance(content, bytes) else (os.fsencode(content.absolute()), None)
        reply = self._ask(Order(path, suffix, place, data))
        try:
            while True:
                for found in reply.items:
                    item = found.document or found.failure
                    assert item is not None
                    yield item
                if reply.done:
                    break
                reply = self._ask(None)
        finally:
            # What nobody waits for any longer would be taken for the answer to the next question.
            if reply.last or not reply.done:
                self.close()
        if reply.missing is not None:
            raise _missing(*reply.missing)
        if reply.trouble is not None:
            raise OSError(*reply.trouble)
        if reply.refusal:
            raise DocumentError(reply.refusal)

    def close(self) -> None:
        """End the process, whatever it is doing."""
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            _quietly_closed(stream)

    def _ask(self, order: Order | None) -> Reply:
        """The next reply: to an order, or, None, to the one before."""
        process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(self._limits.seconds * _CLOCK, end)
        timer.daemon = True
        timer.start()
        try:
            if order is not None:
                write_frame(process.stdin, order)  # type: ignore[arg-type]  # IO[bytes] is a BinaryIO in all but name
            frame = read_frame(process.stdout)  # type: ignore[arg-type]  # as above
        except BrokenPipeError:
            frame = None
        except BaseException:
            self.close()
            raise
        finally:
            timer.cancel()
        if frame is not None:
            return msgspec.msgpack.decode(frame, type=Reply)
        # What is not read to its end was cut short: by a limit of the system, by the clock, or by a fault of a library.
        process.wait()
        reason = self._last_words(process.returncode, late=late.is_set())
        self.close()
        raise DocumentError(reason)

    def _start(self) -> subprocess.Popen[bytes]:
        from ragvec.engine.local.worker_process import can_start

        advice = "FileLimits(isolate=False) reads files in this process, without limits of time and memory"
        if not can_start():
            raise DocumentError(f"Expected a Python to start a process with, got {sys.executable!r}: {advice}")
        folders = [folder for folder in sys.path if folder and Path(folder).is_absolute()]
        options: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            options = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
        try:
            process = subprocess.Popen(
                # It may not write files, so it need not try to keep what it compiles.
                [sys.executable, "-B", "-m", "ragvec.pipeline.reader"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                # -m looks into the working folder first, whose files are none of its business.
                cwd=_ROOT,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(folders), "PYTHONWARNINGS": "ignore"},
                **options,
            )
        except OSError as error:
            raise DocumentError(f"The process that reads files cannot be started ({error}): {advice}") from error
        self._process, self._owner = process, os.getpid()
        assert process.stdin is not None
        try:
            write_frame(process.stdin, Settings(self._limits))  # type: ignore[arg-type]  # as in _ask()
        except BrokenPipeError as error:
            process.wait()
            self.close()
            raise DocumentError(f"The process that reads files ended as it began: {advice}") from error
        return process

    def _last_words(self, code: int, *, late: bool) -> str:
        most = self._limits.seconds
        if late:
            return (
                f"Expected a file that is read within {most * _CLOCK:,g} seconds, got one that takes longer: "
                f"FileLimits(seconds=…) allows {_CLOCK:g} times as many"
            )
        if sys.platform != "win32":
            if code == -signal.SIGXCPU:
                return (
                    f"Expected a file that is read within {most:,g} seconds of a processor, got one that takes longer: "
                    "FileLimits(seconds=…) allows more"
                )
            if code == -signal.SIGABRT:
                # So end libraries that are refused memory and cannot say so.
                return short_of_memory(self._limits)
        return f"Expected a file that can be read, got one that ends the process that reads it ({_exit(code)})"


def _plainly(items: Iterator[Document | Failure]) -> Iterator[Document | Failure]:
    """The same, where what a parser stumbles over is a refusal, as it is in the other process."""
    try:
        yield from items
    except (RagvecError, OSError, MemoryError):
        raise
    except Exception as error:
        raise DocumentError(
            f"Expected a file that can be read, got one that breaks its reader: {error!r:.200}"
        ) from error


def _exit(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _quietly_closed(stream: IO[bytes] | None) -> None:
    assert stream is not None
    try:
        stream.close()
    except BrokenPipeError:
        # What was to be sent when it ended; the descriptor is closed all the same.
        return


def _missing(message: str, package: str, extra: str) -> MissingExtra:
    error = MissingExtra(package=package, extra=extra, purpose="")
    error.args = (message,)
    return error
