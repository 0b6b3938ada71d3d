"""A load generator: HTTP requests as bytes over keep-alive connections, in a process of its own.

    python -m benchmarks.load HOST PORT FILE --connections 8 --seconds 10 [--rate N]

FILE holds requests, signed already, each the length in 4 bytes and as many bytes. Without --rate every connection
sends its next request when the last one is answered; with it requests are due at even distances, and the time of each
counts from when it was due, also when no connection was free (so that a server that stops for a while is not
flattered). Prints one JSON document: requests, seconds, rate, quantiles in milliseconds, replies by status.
"""

from __future__ import annotations

import argparse
import json
import selectors
import socket
import struct
import time
from collections import Counter, deque
from collections.abc import Iterable
from pathlib import Path

__all__ = ["read_requests", "write_requests"]

LENGTH = struct.Struct("<I")


def write_requests(path: Path, requests: Iterable[bytes]) -> None:
    """Write requests as this program reads them."""
    with path.open("wb") as file:
        for request in requests:
            file.write(LENGTH.pack(len(request)) + request)


def read_requests(path: Path) -> list[bytes]:
    """The requests in a file."""
    raw, place, found = path.read_bytes(), 0, []
    while place < len(raw):
        (length,) = LENGTH.unpack_from(raw, place)
        found.append(raw[place + 4 : place + 4 + length])
        place += 4 + length
    return found


class Connection:
    """A connection with at most one request under way."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self.open()
        self.began = 0.0
        self.closing = False
        """Whether the server closes it after this reply, as one without keep-alive does."""
        self._received = b""
        self._whole = 0

    def open(self) -> None:
        self.socket = socket.create_connection(self._address, timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.closing = False

    def send(self, request: bytes, began: float) -> None:
        self.began, self._received, self._whole = began, b"", 0
        self.socket.sendall(request)

    def receive(self) -> int:
        """The status once the reply is whole, else 0."""
        part = self.socket.recv(1 << 18)
        if not part:
            raise ConnectionError("the server has closed a connection")
        self._received += part
        if not self._whole:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return 0
            head = self._received[:end].lower()
            self.closing = b"connection: close" in head
            _, _, after = head.partition(b"content-length:")
            self._whole = end + 4 + (int(after.split(b"\r\n", 1)[0]) if after else 0)
        if len(self._received) < self._whole:
            return 0
        return int(self._received[9:12])


def run(
    connections: list[Connection], requests: list[bytes], *, seconds: float, rate: float | None
) -> dict[str, object]:
    """Send requests for so many seconds."""
    selector = selectors.DefaultSelector()
    for connection in connections:
        selector.register(connection.socket, selectors.EVENT_READ, connection)
    free = deque(connections)
    times: list[float] = []
    statuses: Counter[int] = Counter()
    clock = time.perf_counter
    began = clock()
    end = began + seconds
    sent = 0
    while True:
        now = clock()
        if now >= end and (len(free) == len(connections) or now > end + 30):
            break
        while free and now < end:
            due = now if rate is None else began + sent / rate
            if due > now:
                break
            free.popleft().send(requests[sent % len(requests)], due)
            sent += 1
            now = clock()
        wait = 0.05 if rate is None or not free else max(min(began + sent / rate - now, 0.05), 0.0)
        for key, _ in selector.select(wait):
            connection = key.data
            status = connection.receive()
            if status:
                times.append(clock() - connection.began)
                statuses[status] += 1
                free.append(connection)
                if connection.closing:
                    selector.unregister(connection.socket)
                    connection.socket.close()
                    connection.open()
                    selector.register(connection.socket, selectors.EVENT_READ, connection)
    spent = clock() - began
    times.sort()

    def quantile(share: float) -> float:
        return round(times[min(int(share * len(times)), len(times) - 1)] * 1000, 3) if times else 0.0

    return {
        "requests": len(times),
        "seconds": round(spent, 3),
        "rate": round(len(times) / spent, 1),
        "p50": quantile(0.5),
        "p90": quantile(0.9),
        "p99": quantile(0.99),
        "p999": quantile(0.999),
        "statuses": {str(status): number for status, number in sorted(statuses.items())},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("file", type=Path)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rate", type=float, help="requests a second, due at even distances")
    options = parser.parse_args()
    connections = [Connection(options.host, options.port) for _ in range(options.connections)]
    requests = read_requests(options.file)
    print(json.dumps(run(connections, requests, seconds=options.seconds, rate=options.rate)))


if __name__ == "__main__":
    main()
