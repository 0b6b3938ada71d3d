"""Power failures: a store is opened again as a disk may hold it after losing what was not fsynced.

A workload runs once in a process whose changes to files are all logged in order (`tests.torture.disk`), the lines of
its journal among them. The log is then replayed onto a simulated disk (`tests.torture.power_disk`), and at many records
of it the power fails: from what was durable by then, and from what happened to be, states of the disk are made, and in
each the store is held against the journal (`tests.torture.workload.check`).

Among the states of one moment are: nothing that was not durable; everything; all names and no data; all data and no
names; one file's writes, or all but these; one change of names, or all but this; only the latest change; and random
ones, by whole writes or by sectors.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ragvec.engine.local.wal import broken_log
from tests.torture import workload
from tests.torture.disk import Control, Entry, Kind, compile_shim, environment, read_log
from tests.torture.power_disk import Disk, Keep, keep_all, keep_none

__all__ = ["SCENARIOS", "candidates", "failures", "recorded", "run"]

SCENARIOS: dict[str, tuple[str, int]] = {
    "all": ("all", 40),
    "commit": ("commit", 30),
    "catalog": ("catalog", 24),
    "compaction": ("compaction", 24),
    "postings": ("postings", 12),
    "merge": ("merge", 12),
    "text": ("text", 14),
    "background": ("background", 12),
    "migration": ("migration", 10),
    "unsteady commit": ("commit", 40),
    "unsteady compaction": ("compaction", 24),
}
"""Groups of operations of the workload, and how many steps of each are run; "unsteady" ones on a disk on which some
fsyncs fail."""

_ARCHIVES = {"migration": "format-1.zip"}
"""The scenarios that begin with a store, which is all on the disk then; the others make their own."""
_STATES_A_MOMENT = 4
_ROOT = Path(__file__).parents[2]


def run(*, rounds: int, seed: int, folder: Path) -> dict[str, int | str]:
    """Check `rounds` different states of disks after power failures, in `folder`; returns figures.

    Raises:
        AssertionError: a state breaks a promise; the message says how to make it again.
        ShimMissing: the file layer cannot be had here.
    """
    checked = records = moments = 0
    for at, name in enumerate(SCENARIOS):
        share = rounds * (at + 1) // len(SCENARIOS) - rounds * at // len(SCENARIOS)
        if not share:
            continue
        place = folder / f"{name}-{seed}".replace(" ", "-")
        log = recorded(place, seed=seed, name=name)
        found = failures(log, place, seed=seed, states=share, name=name)
        checked += found["states"]
        moments += found["moments"]
        records += len(log)
        shutil.rmtree(place)
    return {"states": checked, "moments": moments, "records": records}


def recorded(folder: Path, *, seed: int, name: str, steps: int | None = None) -> list[Entry]:
    """The log of one run of the scenario; the store is `store` below the root of its paths."""
    group, usual = SCENARIOS[name]
    root, log, journal = folder / "disk", folder / "log", folder / "journal"
    root.mkdir(parents=True)
    before = _existing(name, root=root, journal=journal)
    control = Control(folder / "control")
    count = str(usual if steps is None else steps)
    command = [sys.executable, "-m"]
    if name.startswith("unsteady"):
        command += ["tests.torture.disk_errors", "unsteady", str(folder), group, count, str(seed)]
    else:
        command += ["tests.torture.workload", str(root / "store"), str(journal)]
        command += ["--seed", str(seed), "--steps", count, "--only", group]
    variables = environment(compile_shim(folder.parent / "shim"), control, root=root, log=log, notes=journal)
    done = subprocess.run(command, cwd=_ROOT, env=variables, capture_output=True, text=True, check=False)
    control.close()
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-4000:]}"
    shutil.rmtree(root)
    return [*before, *read_log(log)]


def _existing(name: str, *, root: Path, journal: Path) -> list[Entry]:
    """Put the store and the journal there with which the scenario begins; returns how they came to be on the disk."""
    if name not in _ARCHIVES:
        return []
    with zipfile.ZipFile(Path(__file__).parent / _ARCHIVES[name]) as archive:
        archive.extractall(root)
    shutil.move(root / "journal", journal)
    entries = []
    for path in sorted(root.rglob("*")):
        place = path.relative_to(root).as_posix()
        if path.is_dir():
            entries.append(Entry(Kind.MKDIR, 0, place))
            continue
        data = path.read_bytes()
        entries.append(Entry(Kind.CREATE, 0, place))
        entries.append(Entry(Kind.WRITE, 0, place, offset=0, length=len(data), data=data))
        entries.append(Entry(Kind.SYNC, 0, place))
    folders = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_dir()]
    entries += [Entry(Kind.SYNC_FOLDER, 0, place) for place in (*folders, "")]
    said = journal.read_bytes()
    return [*entries, Entry(Kind.NOTE, 0, "", length=len(said), data=said)]


def failures(
    log: Sequence[Entry],
    folder: Path,
    *,
    seed: int,
    states: int,
    name: str,
    ignored: Callable[[str], bool] = lambda path: False,
) -> dict[str, int]:
    """Let the power fail at moments spread over the log, and check so many different states; returns how many there
    were. `ignored` as for `Disk`."""
    rng = random.Random(f"power {seed} {name}")
    disk, notes = Disk(ignored=ignored), bytearray()
    seen: set[tuple[str, int]] = set()
    moments = 0
    started = next((at for at, entry in enumerate(log) if entry.kind is Kind.NOTE), len(log))
    wanted = max(1, states // _STATES_A_MOMENT)
    due = sorted(rng.randrange(started, len(log)) for _ in range(wanted))
    for at, entry in enumerate(log):
        if entry.kind is Kind.NOTE:
            notes += entry.data
        disk.apply(entry)
        while due and due[0] <= at:
            due.pop(0)
            moments += 1
            room = (states - len(seen)) // (len(due) + 1)
            for what, keep in candidates(disk, rng):
                state = disk.after_failure(keep)
                known = (state.digest(), len(notes))
                if room <= 0:
                    break
                if known in seen:
                    continue
                seen.add(known)
                room -= 1
                where = f"seed {seed}, {name}: power failed after record {at} of {len(log)}, with {what}"
                _check(state.write, folder, bytes(notes), where=where)
    return {"states": len(seen), "moments": moments}


def _check(write: Callable[[Path], None], folder: Path, notes: bytes, *, where: str) -> None:
    place, journal = folder / "after", folder / "journal-then"
    write(place)
    journal.write_bytes(notes)
    for log in place.rglob("*.sqlite-wal"):
        assert broken_log(log) is None, f"{where}: what was not written counts as damage to {log}"
    try:
        workload.check(place / "store", journal)
    except Exception as error:
        raise AssertionError(f"{where}: {type(error).__name__}: {error}; what it left is in {place}") from error
    shutil.rmtree(place)


def candidates(disk: Disk, rng: random.Random) -> Iterator[tuple[str, Keep]]:
    """What the disk may have kept, in words and as such, in a random order; without end."""
    names, files = disk.pending_names(), disk.pending_files()
    writes = sorted({number for numbers in files.values() for number in numbers})
    latest = max([*names, *writes], default=0)
    all_names, no_names = set(names), set[int]()
    fixed: list[tuple[str, Keep]] = [
        ("nothing that was not fsynced", keep_none),
        ("everything", keep_all),
        ("all names, no data", _Kept(all_names, set())),
        ("no names, all data", _Kept(no_names, set(writes))),
        ("the latest change only", _Kept({latest} & all_names, {latest} & set(writes))),
        ("all names, and the latest change", _Kept(all_names, {latest} & set(writes))),
    ]
    for path, numbers in files.items():
        fixed.append((f"all names, and the data of {path}", _Kept(all_names, set(numbers))))
        fixed.append((f"all but the data of {path}", _Kept(all_names, set(writes) - set(numbers))))
    for number in names[-20:]:
        fixed.append((f"all data, and the name changed by {number}", _Kept({number}, set(writes))))
        fixed.append((f"all but the name changed by {number}", _Kept(all_names - {number}, set(writes))))
    rng.shuffle(fixed)
    for one in fixed[: 2 * _STATES_A_MOMENT]:
        yield one
        number = rng.randrange(1 << 32)
        yield f"sectors by {number}", _Torn(number)
    for _ in range(50):
        some, share = random.Random(rng.randrange(1 << 32)), rng.random()
        kept = {number for number in (*names, *writes) if some.random() < share}
        yield f"writes {sorted(kept)}", _Kept(kept, kept)
        number = rng.randrange(1 << 32)
        yield f"sectors by {number}", _Torn(number)


class _Kept:
    """Keeps the changes by these records."""

    def __init__(self, names: set[int], writes: set[int]) -> None:
        self._names, self._writes = names, writes

    def name(self, number: int) -> bool:
        return number in self._names

    def data(self, path: str, writes: list[int]) -> Callable[[int, int], bool]:
        return lambda sector, number: number in self._writes


class _Torn:
    """Keeps names and sectors at random, each sector as of a moment of its own."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        chosen = random.Random(seed)
        self._names, self._share = chosen.random(), chosen.random()

    def name(self, number: int) -> bool:
        return random.Random(f"{self._seed} {number}").random() < self._names

    def data(self, path: str, writes: list[int]) -> Callable[[int, int], bool]:
        chosen = random.Random(f"{self._seed} {path}")
        return lambda sector, number: chosen.random() < self._share
