"""Disks that fail: at each change to a file in turn the system says that the disk is full, or broken, once or for good.

The operations of a workload (`tests.torture.workload`) run in a process under the file layer (`tests.torture.disk`), on
a copy of a store, again and again; each time another of the system calls that change files fails. What must hold:

- a call raises a StoreError that names the file, StoreFull where the disk was full, or goes on, where only what is
  derived or may be lost was to be written;
- nothing acknowledged is lost, and what was not is wholly there or wholly absent;
- once the disk works again so does the same Store, and a new one, and `verify` finds nothing.

`python -m tests.torture.disk_errors FOLDER ROUNDS SEED` is that process; `unsteady` is another, which works through a
whole workload while some fsyncs fail, for `tests.torture.power` to replay: Linux may forget what such an fsync should
have written, and only writing it again helps.
"""

from __future__ import annotations

import errno
import json
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from ragvec.api.exceptions import ClientError
from ragvec.engine.local.engine import LocalEngine
from ragvec.errors import Corrupted, StoreError, StoreFull, StoreReadOnly
from ragvec.store import Store
from tests.torture.disk import Control, Kind, compile_shim, environment
from tests.torture.workload import GROUPS, Workload
from tests.torture.workload import run as work
from tests.torture.workload_check import check, compare, settled
from tests.torture.workload_model import Journal
from tests.torture.workload_small import shrunk

__all__ = ["FAULTS", "SCENARIOS", "Fault", "attack", "main", "run", "unsteady"]

SCENARIOS: dict[str, tuple[int, int]] = {
    "commit": (4, 7),
    "catalog": (4, 8),
    "postings": (1, 3),
    "merge": (1, 6),
    "compaction": (1, 8),
}
"""Groups of operations: how many steps make the store, and how many are then attacked."""

_ROOT = Path(__file__).parents[2]


class Fault(msgspec.Struct, frozen=True):
    """What the system says, to which kinds of operation (None: all), how often (0: until it is repaired), and which
    error that must be."""

    name: str
    error: int
    count: int
    expected: type[StoreError]
    kinds: frozenset[Kind] | None = None
    short: bool = False


_SPACE = frozenset({Kind.WRITE})
_SYNCS = frozenset({Kind.SYNC, Kind.SYNC_FOLDER})

FAULTS: tuple[Fault, ...] = (
    Fault("full once", errno.ENOSPC, 1, StoreFull, _SPACE),
    Fault("full", errno.ENOSPC, 0, StoreFull, _SPACE),
    Fault("full after half a write", errno.ENOSPC, 0, StoreFull, _SPACE, short=True),
    Fault("over quota", errno.EDQUOT, 0, StoreError, _SPACE),
    Fault("nothing can be made", errno.ENOSPC, 0, StoreError),
    Fault("broken once", errno.EIO, 1, StoreError),
    Fault("broken", errno.EIO, 0, StoreError),
    Fault("not synced once", errno.EIO, 1, StoreError, _SYNCS),
    Fault("not synced", errno.EIO, 0, StoreError, _SYNCS),
    Fault("read-only", errno.EROFS, 0, StoreError),
)


def run(*, rounds: int, seed: int, folder: Path) -> dict[str, int | str]:
    """Make `rounds` system calls fail, in `folder`; returns how many failures there were and what came of them.

    Raises:
        AssertionError: a promise is broken; the message says how to make it again. ShimMissing: see `compile_shim`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "disk").mkdir()
    control = Control(folder / "control")
    variables = environment(compile_shim(folder.parent / "shim"), control, root=folder / "disk")
    command = [sys.executable, "-m", "tests.torture.disk_errors", str(folder), str(rounds), str(seed)]
    done = subprocess.run(command, cwd=_ROOT, env=variables, capture_output=True, text=True, check=False)
    control.close()
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-4000:]}"
    figures: dict[str, int | str] = json.loads(done.stdout.splitlines()[-1])
    return figures


def attack(folder: Path, control: Control, *, rounds: int, seed: int) -> Counter[str]:
    """The work of `run`, inside the process that is followed."""
    rng = random.Random(f"disk errors {seed}")
    found: Counter[str] = Counter()
    share = max(1, rounds // len(SCENARIOS))
    for group, (before, steps) in SCENARIOS.items():
        scene = _Scene(folder, control, group=group, seed=seed)
        scene.prepare(before)
        count = scene.attempt(steps, before=before, fault=None, at=0, found=Counter())
        places = [(at, FAULTS[n % len(FAULTS)]) for n, at in enumerate(_spread(count, share, rng))]
        for at, fault in places:
            scene.attempt(steps, before=before, fault=fault, at=at, found=found)
    return found


def _spread(count: int, wanted: int, rng: random.Random) -> list[int]:
    """Numbers from 1 to `count`, all of them once if so many are wanted, then again."""
    numbers: list[int] = []
    while len(numbers) < wanted:
        some = list(range(1, count + 1))
        rng.shuffle(some)
        numbers += some[: wanted - len(numbers)]
    return numbers


class _Scene:
    """One group of operations on a store made once."""

    def __init__(self, folder: Path, control: Control, *, group: str, seed: int) -> None:
        self._folder, self._control, self._group, self._seed = folder, control, group, seed
        self._made = folder / f"made-{group}"
        self._store = folder / "disk" / "store"
        self._journal = folder / "journal"

    def prepare(self, steps: int) -> None:
        self._made.mkdir()
        work(self._made / "store", Journal(self._made / "journal"), seed=self._seed, steps=steps, group=self._group)

    def attempt(self, steps: int, *, before: int, fault: Fault | None, at: int, found: Counter[str]) -> int:
        """Run the operations, of whose system calls number `at` fails; returns how many there were."""
        what = f"seed {self._seed}, {self._group}: system call {at} {fault and fault.name}"
        shutil.rmtree(self._store, ignore_errors=True)
        shutil.copytree(self._made / "store", self._store)
        shutil.copyfile(self._made / "journal", self._journal)
        journal = Journal(self._journal)
        began = self._control.operations
        try:
            with shrunk():
                self._operate(journal, range(before, before + steps), fault=fault, at=at, found=found)
            count = self._control.operations - began
            check(self._store, self._journal)
        except Exception as error:
            self._heal()
            raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
        return count

    def _operate(self, journal: Journal, steps: range, *, fault: Fault | None, at: int, found: Counter[str]) -> None:
        if fault is not None:
            self._break(fault, at=at)
        store = self._opened(fault, found=found)
        ((model, _),) = journal.alternatives()
        workload = Workload(store, model=model, journal=journal, seed=self._seed)
        names = GROUPS[self._group]
        for step in steps:
            try:
                workload.step(names[step % len(names)])
            except (StoreError, ClientError) as error:
                self._judge(_cause(error), fault, found=found)
                model = settled(store, journal)
                compare(store, model, thorough=False)
                workload = Workload(store, model=model, journal=journal, seed=self._seed)
        if fault is not None:
            found["failed" if self._control.failed else "not reached"] += 1
            self._heal()
            compare(store, settled(store, journal), thorough=True)
        store.close()

    def _opened(self, fault: Fault | None, *, found: Counter[str]) -> Store:
        try:
            return Store(engine=LocalEngine(self._store, background=False))
        except StoreError as error:
            self._judge(error, fault, found=found)
            return Store(engine=LocalEngine(self._store, background=False))

    def _judge(self, error: StoreError, fault: Fault | None, *, found: Counter[str]) -> None:
        self._heal()
        assert fault is not None, error
        fits = not isinstance(error, Corrupted) and (fault.error == errno.EROFS or not isinstance(error, StoreReadOnly))
        # A library that writes a segment does not say why it could not, or does not even notice.
        fits = fits and (isinstance(error, fault.expected) or "/segments" in str(error))
        assert fits, f"expected {fault.expected.__name__} that says so, got {error!r}"
        assert error.store, f"{error!r} does not say in which file"
        assert error.store in str(error), f"{error!r} does not name the file"
        found[type(error).__name__] += 1

    def _break(self, fault: Fault, *, at: int) -> None:
        kinds = None if fault.kinds is None else set(fault.kinds)
        self._control.short_write = int(fault.short)
        self._control.fail(self._control.operations + at, error=fault.error, kinds=kinds, count=fault.count)

    def _heal(self) -> None:
        self._control.fail_from = 0
        self._control.short_write = 0


def _cause(error: StoreError | ClientError) -> StoreError:
    """What a client reported."""
    found = error if isinstance(error, StoreError) else error.__cause__
    assert isinstance(found, StoreError), error
    return found


@contextmanager
def _erratic(control: Control, rng: random.Random) -> Iterator[None]:
    """Within the block, one fsync soon fails, unless luck has it otherwise."""
    if rng.random() < 0.6:
        control.fail(control.operations + rng.randint(1, 25), error=errno.EIO, kinds=set(_SYNCS), count=1)
    try:
        yield
    finally:
        control.fail_from = 0


def unsteady(path: Path, journal_path: Path, control: Control, *, seed: int, steps: int, group: str) -> int:
    """Work through a workload from its beginning, while an fsync fails now and then; returns how many did."""
    rng = random.Random(f"unsteady {seed}")
    journal, failed = Journal(journal_path), 0
    with shrunk(), Store(engine=LocalEngine(path, background=False)) as store:
        ((model, _),) = journal.alternatives()
        names = GROUPS[group]
        for step in range(steps):
            workload = Workload(store, model=model, journal=journal, seed=seed)
            control.failed = 0
            try:
                with _erratic(control, rng):
                    workload.step(names[step % len(names)])
            except (StoreError, ClientError) as error:
                _cause(error)
                model = settled(store, journal)
            failed += control.failed
    return failed


def main(arguments: list[str]) -> None:
    """Inside the process that is followed: FOLDER ROUNDS SEED, or unsteady FOLDER GROUP STEPS SEED."""
    if arguments[0] == "unsteady":
        folder, group = Path(arguments[1]), arguments[2]
        control = Control(folder / "control")
        place, journal = folder / "disk" / "store", folder / "journal"
        failed = unsteady(place, journal, control, seed=int(arguments[4]), steps=int(arguments[3]), group=group)
        print(json.dumps({"failed": failed}))
        return
    folder = Path(arguments[0])
    print(json.dumps(attack(folder, Control(folder / "control"), rounds=int(arguments[1]), seed=int(arguments[2]))))


if __name__ == "__main__":
    main(sys.argv[1:])
