"""Counts of what a server does, for Prometheus: each worker keeps its own in a file, and whoever is asked adds up.

A file is a map of records, each the length of a name, the name in UTF-8, blanks up to a multiple of 8, and a float64.
The length of a record is written last, so that a reader in another process sees whole records only. Files of workers
that ended stay and count on, except for what is true only while a worker lives, whose names begin with `~`.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
from bisect import bisect_left
from pathlib import Path

__all__ = ["BUCKETS", "Figures", "exposition"]

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper ends of the classes of durations, in seconds."""
FILE_BYTES = 1 << 20
_SUFFIX = ".figures"
_HELP = {
    "ragvec_http_requests_total": ("counter", "Requests answered, by service, operation and status."),
    "ragvec_http_request_seconds": ("histogram", "Time from the first byte of a request to its reply."),
    "ragvec_http_received_bytes_total": ("counter", "Bytes of bodies received."),
    "ragvec_http_sent_bytes_total": ("counter", "Bytes of bodies sent."),
    "ragvec_http_refused_total": ("counter", "Requests refused because too much was waiting."),
    "ragvec_http_in_work": ("gauge", "Requests that have arrived and are not answered yet."),
    "ragvec_http_workers": ("gauge", "Workers that are running."),
}


class Figures:
    """The counts of one worker, kept in the file `<process>.figures` in `folder`; only the event loop writes them."""

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        path = self._folder / f"{os.getpid()}{_SUFFIX}"
        with path.open("wb+") as file:
            file.truncate(FILE_BYTES)
            self._map = mmap.mmap(file.fileno(), FILE_BYTES)
        self._end = 0
        self._places: dict[str, int] = {}
        self._series: dict[tuple[str, str, int], str] = {}
        self._lock = threading.Lock()
        self.set("~ragvec_http_workers", 1)

    def add(self, name: str, amount: float = 1) -> None:
        """Add to a count."""
        place = self._place(name)
        if place:
            _VALUE.pack_into(self._map, place, _VALUE.unpack_from(self._map, place)[0] + amount)

    def set(self, name: str, value: float) -> None:
        """Set what is true only now; its name begins with `~`."""
        place = self._place(name)
        if place:
            _VALUE.pack_into(self._map, place, value)

    def answered(self, dialect: str, operation: str, status: int, *, seconds: float, received: int, sent: int) -> None:
        """Count a request."""
        key = (dialect, operation, status)
        labels = self._series.get(key)
        if labels is None:
            labels = self._series[key] = f'{{service="{_label(dialect)}",operation="{_label(operation)}"'
        self.add(f'ragvec_http_requests_total{labels},status="{status}"}}')
        place = bisect_left(BUCKETS, seconds)
        end = f"{BUCKETS[place]:g}" if place < len(BUCKETS) else "+Inf"
        self.add(f'ragvec_http_request_seconds_bucket{labels},le="{end}"}}')
        self.add(f"ragvec_http_request_seconds_sum{labels}}}", seconds)
        self.add("ragvec_http_received_bytes_total", received)
        self.add("ragvec_http_sent_bytes_total", sent)

    def text(self) -> str:
        """The counts of all workers together, as Prometheus reads them."""
        return exposition(self._folder)

    def close(self) -> None:
        """This worker runs no longer; its counts stay."""
        self.set("~ragvec_http_workers", 0)
        self.set("~ragvec_http_in_work", 0)

    def _place(self, name: str) -> int:
        """Where the value of a name is; 0: there is no room for another name."""
        place = self._places.get(name)
        if place is None:
            with self._lock:
                place = self._places[name] = self._appended(name)
        return place

    def _appended(self, name: str) -> int:
        raw = name.encode()
        padded = raw + b" " * (-(len(raw) + 4) % 8)
        place = self._end + 4 + len(padded)
        if place + 8 > FILE_BYTES:
            return 0
        self._map[self._end + 4 : place] = padded
        _VALUE.pack_into(self._map, place, 0.0)
        _LENGTH.pack_into(self._map, self._end, len(padded))
        self._end = place + 8
        return place


_VALUE = struct.Struct("<d")
_LENGTH = struct.Struct("<I")


def exposition(folder: str | Path) -> str:
    """What all the files in `folder` count, as text in Prometheus' format 0.0.4, sorted by name."""
    totals: dict[str, float] = {}
    for path in sorted(Path(folder).glob(f"*{_SUFFIX}")):
        alive = _is_alive(int(path.stem))
        for name, value in _records(path.read_bytes()):
            if not name.startswith("~"):
                totals[name] = totals.get(name, 0.0) + value
            elif alive:
                totals[name[1:]] = totals.get(name[1:], 0.0) + value
    lines = []
    for family, (kind, meaning) in _HELP.items():
        lines += [f"# HELP {family} {meaning}", f"# TYPE {family} {kind}"]
        lines += _histogram(family, totals) if kind == "histogram" else _plain(family, totals)
    return "\n".join([*lines, ""])


def _plain(family: str, totals: dict[str, float]) -> list[str]:
    return [f"{name} {value:.15g}" for name, value in sorted(totals.items()) if name.partition("{")[0] == family]


def _histogram(family: str, totals: dict[str, float]) -> list[str]:
    """The classes of each series added up from below, as Prometheus wants them, then their sum and count."""
    lines = []
    ends = [*(f"{end:g}" for end in BUCKETS), "+Inf"]
    for name, total in sorted(totals.items()):
        head, _, rest = name.partition("{")
        if head != f"{family}_sum":
            continue
        labels = rest.removesuffix("}")
        count = 0.0
        for end in ends:
            count += totals.get(f'{family}_bucket{{{labels},le="{end}"}}', 0.0)
            lines.append(f'{family}_bucket{{{labels},le="{end}"}} {count:.15g}')
        lines += [f"{name} {total:.15g}", f"{family}_count{{{labels}}} {count:.15g}"]
    return lines


def _records(raw: bytes) -> list[tuple[str, float]]:
    found, place = [], 0
    while place + 4 <= len(raw):
        (length,) = _LENGTH.unpack_from(raw, place)
        end = place + 4 + length
        if not length or end + 8 > len(raw):
            break
        found.append((raw[place + 4 : end].decode().rstrip(" "), _VALUE.unpack_from(raw, end)[0]))
        place = end + 8
    return found


def _is_alive(process: int) -> bool:
    if process == os.getpid() or os.name == "nt":  # Windows has one worker
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
