"""What is left of a store after kill -9, on a full disk, between two processes, and with a damaged file.

    python -m benchmarks.reliability [--rounds 8] [--systems ragvec chroma …] [--only kill disk …] [--out table.md]

Caveats first. All stores run as their documentation shows for one machine without a server, with the default settings
of the versions printed; a server edition of the same product may well do better, and some of them say that the local
mode is meant for trials. What was killed is the program with all its processes; the system went on, so that nothing
here tells what a power cut does. Few rounds, small stores: a loss that is seen is real, one that is not seen proves
little. Rows are put in batches of 100, and a batch counts as acknowledged when the call that puts it has returned.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import random
import select
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.reliability_peers import BATCH, CHECKED, PACKAGES

__all__ = ["main"]

_ANSWER_SECONDS = 120.0
_DISK_BYTES = 64 << 20
_MOST_PUTS = 200
_FLIPS = (0.15, 0.35, 0.5, 0.65, 0.85)
_OUTCOMES = ("wrong rows served", "rows missing", "an error", "all rows right")
_PARTS = {
    "kill": "Killed {rounds} times while writing",
    "disk": "The disk is full",
    "two": "Two processes",
    "flip": "One byte of the largest file changed, five times",
}

Row = dict[str, str]


class Process:
    """A store in a process of its own; `ready` is its answer to being opened, after `seconds`, imports included."""

    def __init__(self, system: str, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.reliability_peers", system, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
            bufsize=0,
        )
        self._rest = b""
        began = time.perf_counter()
        self.ready = self.hears()
        self.seconds = time.perf_counter() - began

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def tell(self, command: str) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(command.encode() + b"\n")

    def ask(self, command: str) -> dict[str, Any]:
        self.tell(command)
        return self.hears()

    def hears(self) -> dict[str, Any]:
        """The next answer; an `error` when there is none."""
        assert self._process.stdout is not None
        until = time.monotonic() + _ANSWER_SECONDS
        while b"\n" not in self._rest:
            if not select.select([self._process.stdout], [], [], max(0.0, until - time.monotonic()))[0]:
                return {"error": f"hangs for over {_ANSWER_SECONDS:.0f} s"}
            part = os.read(self._process.stdout.fileno(), 1 << 16)
            if not part:
                return {"error": self._end()}
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def kill(self) -> list[dict[str, Any]]:
        """End it and all that it started; returns what it had still said."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        assert self._process.stdout is not None
        if not self._process.stdout.closed:
            self._rest += self._process.stdout.read()
            self._process.communicate()
            self._errors.close()
        lines = self._rest.split(b"\n")[:-1]
        self._rest = b""
        return [json.loads(line) for line in lines]

    def _end(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        words = self._errors.read()[-300:].decode(errors="replace").strip().splitlines()
        return f"the process died ({signal.Signals(-code).name if code < 0 else code}): {words[-1] if words else ''}"


def killed(system: str, folder: Path, *, rounds: int, seed: int) -> Row:
    """Kill a writer at random moments, and look at what it left, in one store after another kill of it."""
    chosen = random.Random(f"{system}{seed}")
    acknowledged: set[int] = set()
    lost: set[int] = set()
    half: set[int] = set()
    trouble: list[str] = []
    seconds, hits, searched, nearly = [], 0, 0, 0
    first = 0
    for _ in range(rounds):
        with Process(system, folder) as writer:
            if "error" in writer.ready:
                trouble.append(writer.ready["error"])
                break
            writer.tell(f"run {first}")
            said = [writer.hears() for _ in range(chosen.randint(1, 6))]
            time.sleep(chosen.random() * 0.03)
            said += writer.kill()
        done = [answer["done"] for answer in said if "done" in answer]
        trouble += [answer["error"] for answer in said if "error" in answer]
        acknowledged |= set(done)
        first = max([first, *done]) + 2
        with Process(system, folder) as reader:
            if "error" in reader.ready:
                trouble.append(reader.ready["error"])
                break
            seconds.append(reader.seconds)
            found = reader.ask("read")
            if "error" in found:
                trouble.append(found["error"])
                break
        batches = {int(batch): rows for batch, rows in found["batches"].items()}
        lost |= {batch for batch in acknowledged if batches.get(batch, 0) < BATCH}
        half |= {batch for batch, rows in batches.items() if rows < BATCH}
        nearly += sum(batch not in acknowledged for batch in batches) > 0
        hits, searched = hits + found["hits"], searched + found["searched"]
    return {
        "batches acknowledged": str(len(acknowledged)),
        "lost": str(len(lost)),
        "half there": str(len(half)),
        "rows found by a search for themselves": f"{hits} of {searched}",
        "seconds to start and open": f"{statistics.median(seconds):.2f}" if seconds else "",
        "trouble": _short(trouble),
    }


@contextmanager
def small_disk() -> Iterator[Path]:
    """A file system of 64 MiB. Raises PermissionError without root."""
    place = Path(tempfile.mkdtemp(prefix="reliability-"))
    command = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        place.rmdir()
        raise PermissionError("mounting a small tmpfs needs root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
        place.rmdir()


def _fill(disk: Path) -> Path:
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    return ballast


def full_disk(system: str, disk: Path) -> Row:
    """Fill the disk under a writer, and give the space back."""
    folder = disk / "store"
    acknowledged = []
    with Process(system, folder) as writer:
        for batch in range(10):
            if "done" in writer.ask(f"put {batch}"):
                acknowledged.append(batch)
        ballast = _fill(disk)
        answer: dict[str, Any] = {}
        for batch in range(10, 10 + _MOST_PUTS):
            answer = writer.ask(f"put {batch}")
            if "error" in answer:
                break
            acknowledged.append(batch)
        error = answer.get("error", f"none in {_MOST_PUTS} batches")
        meanwhile = _reads(writer.ask("read"), acknowledged)
        with Process(system, folder) as reader:
            other = _reads(reader.ready if "error" in reader.ready else reader.ask("read"), acknowledged)
        ballast.unlink()
        again = writer.ask("put 900")
        acknowledged += [900] if "done" in again else []
    with Process(system, folder) as reader:
        after = reader.ready if "error" in reader.ready else reader.ask("read")
        more = reader.ask("put 901")
    return {
        "error": error[:110],
        "reads meanwhile": meanwhile,
        "a new process reads": other,
        "with space again": "writes go on" if "done" in again else f"writes fail: {again['error'][:60]}",
        "a new process then": _reads(after, acknowledged)
        + ("" if "done" in more else f", writes fail: {more['error'][:60]}"),
    }


def on_a_full_disk(system: str, _: Path) -> Row:
    """`full_disk`, with a disk for it."""
    with small_disk() as disk:
        return full_disk(system, disk)


def two_processes(system: str, folder: Path) -> Row:
    """Two programs on one store."""
    with Process(system, folder) as one:
        one.ask("put 0")
        with Process(system, folder) as other:
            if "error" in other.ready:
                return {"a second process": f"cannot open: {other.ready['error'][:110]}"}
            other.ask("read")
            one.ask("put 1")
            sees = _there(other.ask("read"), 1)
            second = other.ask("put 2")
            back = _there(one.ask("read"), 2)
            failed = []
            acknowledged = [0, 1, *([2] if "done" in second else [])]
            for turn in range(10, 20, 2):
                one.tell(f"put {turn}")
                other.tell(f"put {turn + 1}")
                for batch, process in ((turn, one), (turn + 1, other)):
                    answer = process.hears()
                    if "done" in answer:
                        acknowledged.append(batch)
                    else:
                        failed.append(answer["error"])
            here, there = one.ask("read"), other.ask("read")
    with Process(system, folder) as third:
        after = third.ready if "error" in third.ready else third.ask("read")
    return {
        "a second process": "opens",
        "it sees what the first wrote since": sees,
        "the first sees what it wrote": back,
        "both at once": f"{len(failed)} of 10 writes fail" + (f": {failed[0][:70]}" if failed else ""),
        "afterwards they see": f"{_reads(here, acknowledged)}; {_reads(there, acknowledged)}",
        "a new process": _reads(after, acknowledged),
    }


def damaged(system: str, folder: Path) -> Row:
    """Change one byte of the largest file, at five places."""
    whole = folder / "whole"
    with Process(system, whole) as writer:
        for batch in range(30):
            writer.ask(f"put {batch}")
        writer.ask("close")
    files = sorted((path for path in whole.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    largest = files[-1].relative_to(whole)
    outcomes: dict[str, int] = {}
    told = 0
    for place in _FLIPS:
        copy = folder / f"at-{place}"
        shutil.copytree(whole, copy)
        with (copy / largest).open("r+b") as file:
            offset = int(place * (copy / largest).stat().st_size) | 3  # of little-endian float32: the exponent
            file.seek(offset)
            byte = file.read(1)
            file.seek(offset)
            file.write(bytes([byte[0] ^ 0x40]))
        with Process(system, copy) as reader:
            found = reader.ready if "error" in reader.ready else reader.ask("read")
            outcome = _damage(found)
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
            if "error" not in reader.ready:
                check = reader.ask("check")
                told += "error" in check or bool(check["found"])
        shutil.rmtree(copy)
    return {
        "largest file": f"{largest.name}",
        **{
            name: str(outcomes.get(name, 0))
            for name in ("wrong rows served", "rows missing", "an error", "all rows right")
        },
        "its own check tells": f"{told} of {len(_FLIPS)}" if system in CHECKED else "has none",
    }


def _damage(found: dict[str, Any]) -> str:
    if "error" in found:
        return "an error"
    if found["wrong"]:
        return "wrong rows served"
    return "all rows right" if sum(found["batches"].values()) == 30 * BATCH else "rows missing"


def _there(found: dict[str, Any], batch: int) -> str:
    if "error" in found:
        return found["error"][:60]
    return "yes" if found["batches"].get(str(batch)) == BATCH else "no"


def _reads(found: dict[str, Any], acknowledged: list[int]) -> str:
    if "error" in found:
        return f"fails: {found['error'][:80]}"
    batches = {int(batch): rows for batch, rows in found["batches"].items()}
    lost = sum(batches.get(batch, 0) < BATCH for batch in acknowledged)
    half = sum(rows < BATCH for rows in batches.values())
    parts = ([f"{lost} of {len(acknowledged)} batches missing"] if lost else []) + (
        [f"{half} half there"] if half else []
    )
    missed = found["searched"] - found["hits"]
    parts += [f"{missed} of {found['searched']} not found by search"] if missed else []
    return ", ".join(parts) or "all there"


def _short(trouble: list[str]) -> str:
    return f"{len(trouble)}: {trouble[0][:110]}" if trouble else "none"


def table(rows: dict[str, Row]) -> str:
    """A Markdown table of one line for each system."""
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    lines = ["| | " + " | ".join(names) + " |", "|" + "---|" * (len(names) + 1)]
    for system, row in rows.items():
        cells = (row.get(name, "").replace("|", "\\|").replace("\n", " ") for name in names)
        lines.append(f"| {system} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--systems", nargs="+", default=list(PACKAGES), choices=list(PACKAGES))
    parser.add_argument("--only", nargs="+", default=list(_PARTS), choices=list(_PARTS))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    versions = ", ".join(f"{system} {_version(PACKAGES[system])}" for system in options.systems)
    parts = [(__doc__ or "").split("Caveats first. ")[1].strip(), versions]

    def section(title: str, measure: Callable[[str, Path], Row]) -> None:
        rows = {}
        for system in options.systems:
            folder = Path(tempfile.mkdtemp(prefix=f"reliability-{system}-"))
            try:
                rows[system] = measure(system, folder)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            print(f"{title}: {system}: {rows[system]}", file=sys.stderr, flush=True)
        parts.append(f"### {title}\n\n{table(rows)}")

    def when_killed(system: str, folder: Path) -> Row:
        return killed(system, folder, rounds=options.rounds, seed=options.seed)

    measures = {"kill": when_killed, "disk": on_a_full_disk, "two": two_processes, "flip": damaged}
    for part in options.only:
        section(_PARTS[part].format(rounds=options.rounds), measures[part])
    text = "\n\n".join(parts) + "\n"
    print(text)
    if options.out is not None:
        options.out.write_text(text, encoding="utf-8")


def _version(package: str) -> str:
    with suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(package)
    import ragvec

    return str(getattr(ragvec, "__version__", ""))


if __name__ == "__main__":
    main()
