"""One line of JSON for each request, written by a thread of its own so that no reply waits for a disk or a pipe."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque

import msgspec

__all__ = ["AccessLog", "Entry"]

_PAUSE = 0.05
_MOST = 100_000
_ATOMIC = 4096
"""Bytes that a pipe takes as a whole, so that the lines of several workers do not mix."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request in the log. `time` is when its head had arrived, in epoch seconds; `microseconds` go on until the
    reply. `operation`, `user` and `error` are left out where they are not known, or there is none."""

    time: float
    request_id: str
    client: str
    method: str
    path: str
    status: int
    microseconds: int
    received: int
    sent: int
    dialect: str = ""
    operation: str = ""
    user: str = ""
    error: str = ""


class AccessLog:
    """Lines to the file `target`, appended; to standard error for "-"; nowhere for "".

    When lines come faster than they can be written, some are left out, and a line says how many.
    """

    def __init__(self, target: str) -> None:
        self.on = bool(target)
        self._lines: deque[bytes] = deque()
        self._dropped = 0
        self._ended = False
        self._some = threading.Event()
        self._encode = msgspec.json.Encoder().encode
        if self.on:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            self._file = sys.stderr.fileno() if target == "-" else os.open(target, flags, 0o640)
            self._thread = threading.Thread(target=self._write, name="access-log", daemon=True)
            self._thread.start()

    def add(self, entry: Entry) -> None:
        """Have the line written soon."""
        if not self.on:
            return
        if len(self._lines) >= _MOST:
            self._dropped += 1
            return
        self._lines.append(self._encode(entry) + b"\n")
        if not self._some.is_set():
            self._some.set()

    def close(self) -> None:
        """Write what is left."""
        if self.on:
            self._ended = True
            self._some.set()
            self._thread.join(timeout=5)
            self.on = False

    def _write(self) -> None:
        while not self._ended:
            self._some.wait()
            if not self._ended:
                time.sleep(_PAUSE)  # so that many lines are one write
            self._some.clear()
            self._flush()
        self._flush()

    def _flush(self) -> None:
        if self._dropped:
            self._lines.append(self._encode({"time": time.time(), "dropped": self._dropped}) + b"\n")
            self._dropped = 0
        block = b""
        while self._lines:
            line = self._lines.popleft()
            if block and len(block) + len(line) > _ATOMIC:
                self._put(block)
                block = b""
            block += line
        self._put(block)

    def _put(self, block: bytes) -> None:
        while block:
            try:
                block = block[os.write(self._file, block) :]
            except OSError:  # the disk is full or the reader gone: serving goes on without a log
                self._lines.clear()
                return
