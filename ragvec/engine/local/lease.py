"""The right to build the segments of one index: held by one thread of one process, never left behind.

It is an operating system lock on a file (fcntl on POSIX, msvcrt on Windows), which the system drops with the process
however that ends, so there is no owner to write down and nothing to clean up; the file itself stays, empty. A record
lock of POSIX belongs to the process: another thread of it would be let in, so the leases held by this process are also
noted in memory, by process id, so that a forked child starts with none. SQLite's exclusive transaction would lock as
portably, but a child forked meanwhile would see the lease taken for ever.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ragvec.engine.local.sqlite import store_error

__all__ = ["BuildLease"]

_held: dict[tuple[int, str], object] = {}
"""Who in this process holds which lease, by process id and file; `setdefault` decides between threads."""


class BuildLease:
    """The lease whose file is `path`, in a folder that exists."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def try_acquire(self) -> Iterator[bool]:
        """Within the block: whether the lease is held, by this thread alone. Does not wait.

        Raises:
            StoreReadOnly: the file cannot be written. StoreError: the file system does not lock.
        """
        key = (os.getpid(), str(self.path.resolve()))
        me = object()
        if _held.setdefault(key, me) is not me:
            yield False
            return
        try:
            try:
                handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError as error:
                raise store_error(error, self.path) from error
            # Closing drops the lock; no other handle to this file is ever opened by this process meanwhile.
            try:
                yield self._lock(handle)
            finally:
                os.close(handle)
        finally:
            del _held[key]

    def _lock(self, handle: int) -> bool:
        try:
            _lock_file(handle)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
                return False
            raise store_error(error, self.path) from error
        return True


if sys.platform == "win32":
    import msvcrt

    def _lock_file(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock_file(handle: int) -> None:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
