"""Repairing a store: primary data are saved as far as they can be, what is derived is made again, nothing is thrown
away.

Everything is decided by a deep look through the store, and followed by another. What is rewritten is written as a copy
that takes the place of the damaged file in one step; that is kept in lost+found. Repair waits for nobody: where another
process is writing or building, it says so.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from ragvec.engine.local.engine import LocalEngine
from ragvec.engine.local.identity import IDENTITY_FILE, read_identity, write_identity
from ragvec.engine.local.layout import GenerationFolder, StoreFolder, generations
from ragvec.engine.local.lost_found import LostFound
from ragvec.engine.local.repair_catalog import rebuild_catalog, take_in
from ragvec.engine.local.repair_index import LostRow, put_away, rewrite, write_locked
from ragvec.engine.local.repair_swaps import put_back
from ragvec.engine.local.verification import Problem, Verification
from ragvec.engine.local.verify import Progress, current_generation, known_indexes, verify
from ragvec.engine.protocol import IndexSpec

__all__ = ["Repair", "repair"]

_SHOWN = 200


class Repair(msgspec.Struct, frozen=True):
    """What was done to a store: `found` before and `left` after; `done` in words; `lost` rows, named.

    As (bucket/index, key): `unchecked` rows were saved without a checksum that would confirm them, `unsure` ones
    although nothing tells whether they had been deleted. `kept` is the folder in lost+found with all that was taken
    away, None for nothing.
    """

    path: str
    found: Verification
    left: Verification
    done: tuple[str, ...]
    lost: tuple[LostRow, ...]
    unchecked: tuple[tuple[str, str], ...]
    unsure: tuple[tuple[str, str], ...]
    kept: str | None

    def __str__(self) -> str:
        if self.found.clean:
            return f"{self.path}: nothing to repair"
        lines = [f"{self.path}: {len(self.found.problems):,} problems found, {len(self.left.problems):,} left"]
        lines += [f"  {action}" for action in self.done]
        for row in self.lost[:_SHOWN]:
            lines.append(f"  lost: {row.bucket}/{row.index}, row {row.row}, key {row.key!r}: {row.reason}")
        if len(self.lost) > _SHOWN:
            lines.append(f"  and {len(self.lost) - _SHOWN:,} more rows are lost")
        for rows, what in (
            (self.unchecked, "saved without a checksum to confirm it"),
            (self.unsure, "saved, and may have been deleted before"),
        ):
            lines += [f"  {what}: {index}, key {key!r}" for index, key in rows[:_SHOWN]]
            if len(rows) > _SHOWN:
                lines.append(f"  {what}: {len(rows) - _SHOWN:,} more rows")
        if self.kept is not None:
            lines.append(f"  what was taken away is in {self.kept}")
        lines += [f"  left: {problem}" for problem in self.left.problems[:_SHOWN]]
        return "\n".join(lines)


def repair(path: str | Path, *, backend: str | None = None, progress: Progress | None = None) -> Repair:
    """Repair what a deep look through the store at `path` finds; afterwards another finds nothing, where that is
    possible.

    Damaged rows are dropped from their index, named, and kept in lost+found with all files that are replaced. Derived
    data are built by `backend`, by default the best one here. Readers may go on meanwhile; what they hold open goes on
    to the new files where the old ones can still say so, so that other processes should rather close the store.

    Raises:
        NotAStore, StoreTooNew: see those. StoreBusy: another process is writing or building; what was done before that
        stays done, and repairing again goes on. StoreFull, StoreReadOnly, StoreError: likewise.
    """
    found = verify(path, deep=True, progress=progress)
    if found.clean:
        return Repair(str(path), found, found, (), (), (), (), None)
    folder = StoreFolder(Path(path).absolute())
    work = _Repair(folder)
    work.done += put_back(folder, known_indexes(folder).specs.values())
    work.run(verify(path, deep=True, progress=progress) if work.done else found)
    with LocalEngine(path, background=False, backend=backend) as engine:
        for spec in work.touched.values():
            engine.index(spec).optimize()
    return Repair(
        path=str(path),
        found=found,
        left=verify(path, deep=True, progress=progress),
        done=tuple(work.done),
        lost=tuple(work.lost),
        unchecked=tuple(work.unchecked),
        unsure=tuple(work.unsure),
        kept=None if work.kept.folder is None else str(work.kept.folder),
    )


class _Repair:
    def __init__(self, folder: StoreFolder) -> None:
        self._folder = folder
        self.kept = LostFound(folder.path)
        self.done: list[str] = []
        self.lost: list[LostRow] = []
        self.unchecked: list[tuple[str, str]] = []
        self.unsure: list[tuple[str, str]] = []
        self.touched: dict[str, IndexSpec] = {}

    def run(self, found: Verification) -> None:
        by_uid: dict[str, list[Problem]] = {}
        catalog = False
        for problem in found.problems:
            if problem.file.startswith("indexes/"):
                by_uid.setdefault(problem.file.split("/")[1], []).append(problem)
            else:
                catalog = True
        if catalog:
            with write_locked(self._folder.catalog):
                self.done.append("catalog.sqlite was made again")
                self.done += rebuild_catalog(self._folder, self.kept)
        for uid, problems in by_uid.items():
            known = known_indexes(self._folder).specs
            if uid not in known:
                spec = read_identity(self._folder.indexes / uid)
                if spec is None:
                    self.done.append(f"indexes/{uid} was left as it is: nothing tells what it is")
                    continue
                self.done.append(take_in(self._folder, spec))
                known = known_indexes(self._folder).specs
            self._index(known[uid], problems)

    def _index(self, spec: IndexSpec, problems: list[Problem]) -> None:
        index, name = self._folder.index(spec.uid), f"{spec.bucket}/{spec.name}"
        self.touched[spec.uid] = spec
        number = current_generation(index)
        if number is None:
            index.mkdir(parents=True, exist_ok=True)
            self.done.append(f"{name}: all its files were missing; it was made again, empty")
        else:
            self._generation(index, spec, number, problems)
        if number is None or any(problem.file.endswith(f"/{IDENTITY_FILE}") for problem in problems):
            write_identity(index, spec)
            self.done.append(f"{name}: {IDENTITY_FILE} was written again")

    def _generation(self, index: Path, spec: IndexSpec, number: int, problems: list[Problem]) -> None:
        name, current = f"{spec.bucket}/{spec.name}", f"/g{number:06d}/"
        here = [problem for problem in problems if current in problem.file]
        if any(problem.file.endswith(("/records.sqlite", "/vectors.f32")) for problem in here):
            rewritten = rewrite(index, spec, number, self.kept, progress=lambda _: None)
            self.lost += rewritten.lost
            self.unchecked += [(name, key) for key in rewritten.unchecked]
            self.unsure += [(name, key) for key in rewritten.unsure]
            lost = f"{len(rewritten.lost):,} are lost" if rewritten.lost else "none is lost"
            self.done.append(f"{name}: the rows that are whole were written into a new generation; {lost}")
            return
        files = sorted({self._folder.path / problem.file for problem in here})
        if files:
            put_away(GenerationFolder(index, number), files, self.kept)
            self.done += [f"{name}: {file.name} was put away, and what is derived made again" for file in files]
        for before in generations(index):
            if before < number and any(f"/g{before:06d}/" in problem.file for problem in problems):
                self.kept.move(GenerationFolder(index, before).path)
                self.done.append(f"{name}: the superseded generation {before} was put away")
