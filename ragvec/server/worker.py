"""A worker of several: a process of its own, started and minded by `workers.py`.

`python -m ragvec.server.worker <descriptor>` answers the connections that come through the socket it inherits. Its
standard input has a line of JSON for its settings, later one for each new list of users; its end means that the parent
is gone, and ends the worker too. To standard output it writes a line when it is ready.
"""

from __future__ import annotations

import io
import os
import socket
import sys
import threading

import msgspec

from ragvec.errors import RagvecError
from ragvec.server.run import Running, serve
from ragvec.server.settings import Settings
from ragvec.server.users import User

__all__ = ["READY", "main"]

READY = b"ready\n"


def main() -> int:
    """Serve until the end; return the exit code."""
    # Without a buffer, whose lock the reading thread would still hold when the interpreter ends.
    orders = io.FileIO(0, closefd=False)
    settings = msgspec.json.decode(orders.readline(), type=Settings)
    channel = socket.socket(fileno=int(sys.argv[1]))
    try:
        serve(settings, channel=channel, started=lambda running: _listen(running, orders))
    except RagvecError as error:
        print(f"ragvec serve: {error.message}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _listen(running: Running, orders: io.FileIO) -> None:
    threading.Thread(target=_obey, args=(running, orders), name="orders", daemon=True).start()
    os.write(1, READY)


def _obey(running: Running, orders: io.FileIO) -> None:
    for line in orders:
        running.replace_users(msgspec.json.decode(line, type=tuple[User, ...]))
    running.drain()


if __name__ == "__main__":
    raise SystemExit(main())
