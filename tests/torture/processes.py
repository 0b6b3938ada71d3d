"""Four processes of four threads on one store, and a fifth that is killed again and again, judged by what they saw.

Their operations are puts of one record and of several, updates, deletes by key and by filter, gets, lists, queries with
and without filters, whole and in pages, counts, compactions, closing and opening again, and making and deleting whole
indexes; segments, posting lists and merges are built meanwhile, in threads and in worker processes, since the
thresholds for them are set low. See `tests.torture.processes_actor` for what is logged of each, and
`tests.torture.processes_judge` for what is asked of it.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from ragvec.care import verify
from ragvec.store import Store
from tests.torture.linearizable import Violation
from tests.torture.processes_judge import Done, judge, read_logs
from tests.torture.processes_plan import BUCKET, DIMENSION, EVERYTHING, STABLE

__all__ = ["run"]

PROCESSES = 4
THREADS = 4
_LONGEST_LIFE = 25
"""Batches that a writer has acknowledged when it is killed, at most."""


def run(*, rounds: int, seed: int, folder: Path, operations: int = 60, kills: int = 2) -> dict[str, int | str]:
    """In each round a new store, `operations` of each of the 16 threads, and `kills` of the writer beside them.

    Raises:
        AssertionError: what they saw cannot be; the seed and the round are named, and the logs stay in the folder.
    """
    figures: dict[str, int | str] = dict.fromkeys(
        ("operations", "checked", "kills", "compactions", "segments", "not found", "expired"), 0
    )
    recalls = []
    for number in range(rounds):
        place = folder / f"processes-{seed}-{number}"
        try:
            found = _round(place, seed=seed + 1000 * number, operations=operations, kills=kills)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, round {number}, logs in {place / 'logs'}: {error}") from error
        recalls.append(found.pop("recall"))
        for name, value in found.items():
            figures[name] = int(figures[name]) + value
        shutil.rmtree(place)
    return figures | {"recall": f"{min(recalls) / 1000:.3f}"}


def _round(place: Path, *, seed: int, operations: int, kills: int) -> dict[str, int]:
    logs, path = place / "logs", place / "store"
    logs.mkdir(parents=True)
    with Store(path) as store:
        bucket = store.create_bucket(BUCKET)
        for name in STABLE:
            bucket.create_index(name, dimension=DIMENSION, metric="euclidean")
    killed_at = []
    with ExitStack() as stack:
        actors = [
            stack.enter_context(_Actor(path, logs, process=process, seed=seed, options=[
                "--threads", str(THREADS), "--operations", str(operations),
            ]))
            for process in range(PROCESSES)
        ]  # fmt: skip
        for actor in actors:
            actor.hears("ready")
        for actor in actors:
            actor.start()
        chosen = random.Random(seed)
        for process in range(PROCESSES, PROCESSES + kills):
            with _Actor(path, logs, process=process, seed=seed, options=["--writer"]) as writer:
                writer.hears("ready")
                writer.start()
                writer.hears_dots(chosen.randint(1, _LONGEST_LIFE))
                writer.kill()
                killed_at.append(time.monotonic_ns())
        for actor in actors:
            actor.hears("done")
            actor.ends()
    every = read_logs(logs)
    _check_complete(every, operations)
    _check_progress(every, killed_at)
    figures = judge([*every, *_at_the_end(path)], approximate=lambda process: process % 2 == 1)
    found = verify(path, deep=True)
    if found.problems:
        raise Violation(f"verify finds {found.problems}")
    failures = Counter(done.failure for done in every)
    return (
        figures
        | {"operations": len(every), "kills": kills, "not found": failures["IndexNotFound"]}
        | {"expired": failures["ExpiredToken"] + failures["InvalidToken"]}
        | _built(path)
    )


class _Actor:
    """A process of `tests.torture.processes_actor`; killed at the end of the block if it still runs."""

    def __init__(self, store: Path, logs: Path, *, process: int, seed: int, options: list[str]) -> None:
        self.number = process
        self._errors = (logs / f"{process}.stderr").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.torture.processes_actor", str(store), str(logs), "--process", str(process),
             "--seed", str(seed), *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, bufsize=0, start_new_session=True,
        )  # fmt: skip

    def __enter__(self) -> _Actor:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def hears(self, word: str) -> None:
        """Wait for the line."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline().decode()
        if line != f"{word}\n":
            raise Violation(f"process {self.number} was to say {word!r} and said {line!r}: {self._last_words()}")

    def hears_dots(self, count: int) -> None:
        """Wait for so many of them."""
        assert self._process.stdout is not None
        for _ in range(count):
            if self._process.stdout.read(1) != b".":
                raise Violation(f"the writer {self.number} ended by itself: {self._last_words()}")

    def start(self) -> None:
        """Let it begin."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")

    def kill(self) -> None:
        """End it as the system does that has no memory left."""
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def ends(self) -> None:
        """Wait for its end, which is to be a good one."""
        if self._process.wait() != 0:
            raise Violation(f"process {self.number} ended with {self._process.returncode}: {self._last_words()}")

    def _last_words(self) -> str:
        return Path(self._errors.name).read_text(errors="replace")[-6000:]


def _check_complete(every: list[Done], operations: int) -> None:
    for process in range(PROCESSES):
        for thread in range(THREADS):
            count = sum(done.process == process and done.thread == thread and bool(done.responded) for done in every)
            if count != operations:
                raise Violation(f"thread {process}/{thread} was to do {operations} operations, and did {count}")


def _check_progress(every: list[Done], killed_at: list[int]) -> None:
    """After each kill the others, if they had anything left to do, went on writing."""
    for moment in killed_at:
        later = [done for done in every if done.process < PROCESSES and done.invoked > moment]
        if len(later) > 100 and not any(done.operation["do"] == "put" and not done.failure for done in later):
            raise Violation(f"nobody wrote after the kill at {moment}")


def _built(path: Path) -> dict[str, int]:
    """How often an index was compacted, and how many segments it has now."""
    with Store(path) as store:
        stats = [store.bucket(BUCKET).index(name).stats() for name in STABLE]
    return {
        "compactions": sum(found.generation for found in stats),
        "segments": sum(len(found.segments) for found in stats),
    }


def _at_the_end(path: Path) -> list[Done]:
    """What a process that comes afterwards reads, as operations."""
    found = []
    with Store(path) as store:
        for name in STABLE:
            invoked = time.monotonic_ns()
            records = {
                record.key: int((record.metadata or {})["v"]) for record in store.bucket(BUCKET).index(name).iter()
            }
            hits = [[key, version, 0.0] for key, version in records.items()]
            operation = {"do": "list", "index": name, "where": None, "size": EVERYTHING, "after": None, "list": 0}
            result = {"found": hits, "more": False}
            found.append(Done(-1, 0, operation, invoked, time.monotonic_ns(), result))
    return found
