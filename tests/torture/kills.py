"""Processes killed with SIGKILL at every step of what they do to the disk, and at random moments.

There are deliberately no fault points in the product: each system call that changes a file is one, in the process
itself, in its threads and in its worker processes. A scenario is run once under the file layer of `tests.torture.disk`
to learn its operations; then, each time from the same store, a process is killed before or after the k-th of them, for
every k in the long form and for one of each kind of step at least in the short one. After each kill the store is opened
and compared with the journal (`workload_check`), what was interrupted is done again, and `verify` has its say.

The victims are whoever does the operation, a worker process too, or only the process that has the store open while its
worker goes on, which the check then meets alive. Random kills come from outside, again and again on one store.

    python -m tests.torture.kills [--rounds N] [--seed N] [--scenario NAME [--operation N [--after] [--victim main]]]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from tests.torture import disk, workload
from tests.torture.disk import Control, Kind
from tests.torture.workload_check import check
from tests.torture.workload_model import Journal

__all__ = ["SCENARIOS", "Scenario", "run", "step_name"]

_HERE = Path(__file__).parent
_RANDOM_SHARE = 8
"""One round of so many kills at a random moment."""
_CHAIN = 12
"""Random kills on one store before a new one is begun."""
_LONGEST_SECONDS = 0.5
_MOST = 10**9


class Scenario(msgspec.Struct, frozen=True):
    """What is killed: `steps` of the workload's `group`, on a store that the runs in `before` have made.

    `victims` take turns; see the module.
    """

    name: str
    group: str
    steps: int
    before: tuple[tuple[str, int], ...] = ()
    victims: tuple[str, ...] = ("self",)
    archive: str | None = None


SCENARIOS = (
    Scenario("commit", "commit", 7, before=(("commit", 4),)),
    Scenario("catalog", "catalog", 8, before=(("commit", 3),)),
    Scenario("creation", "commit", 1),
    Scenario("postings", "postings", 3, before=(("postings", 3),)),
    Scenario("segments", "segments", 3, before=(("commit", 3),)),
    Scenario("text", "text", 7, before=(("text", 4),)),
    Scenario("merge", "merge", 6, before=(("merge", 3),)),
    Scenario("compaction", "compaction", 8, before=(("segments", 3),)),
    Scenario("sweep", "compaction", 8, before=(("compaction", 8),)),
    Scenario("background", "background", 4, before=(("commit", 2),), victims=("self", "main")),
    Scenario("migration", "migration", 5, archive="format-1.zip"),
)


class _Point(msgspec.Struct, frozen=True):
    """Where to kill: before or after the operation of a number."""

    scenario: Scenario
    number: int
    after: bool
    victim: str


class _Killed(msgspec.Struct, frozen=True):
    """What was done when somebody was killed; None when nobody was."""

    step: str | None
    checked: int


class _Arena:
    """A folder with the template of each scenario, the store under attack, and the warm process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.store, self.journal = self.folder / "store", self.folder / "journal"
        self.log = self.folder / "log"
        shim = disk.compile_shim(self.folder)
        self.control = Control(self.folder / "control")
        self.log.touch()
        self.server = subprocess.Popen(
            [sys.executable, "-m", "tests.torture.kills_server"],
            env=disk.environment(shim, self.control, root=self.store, log=self.log) | _one_thread(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_HERE.parents[1],
        )
        self._answer()

    def close(self) -> None:
        """End the warm process."""
        self.server.kill()
        self.server.communicate()
        self.control.close()

    def prepare(self, scenario: Scenario) -> None:
        """Put the scenario's store, and the journal that made it, in place."""
        template = self.folder / "templates" / scenario.name
        if not template.exists():
            template.mkdir(parents=True)
            if scenario.archive is not None:
                with zipfile.ZipFile(_HERE / scenario.archive) as archive:
                    archive.extractall(template)
            for group, steps in scenario.before:
                journal = Journal(template / "journal")
                workload.run(template / "store", journal, seed=1, steps=steps, group=group, background=False)
        self.clear()
        for name in ("store", "journal"):
            if (template / name).is_dir():
                shutil.copytree(template / name, self.folder / name)
            elif (template / name).exists():
                shutil.copy(template / name, self.folder / name)

    def clear(self) -> None:
        """Remove the store under attack, its journal, and what the log says of them."""
        shutil.rmtree(self.store, ignore_errors=True)
        self.journal.unlink(missing_ok=True)
        os.truncate(self.log, 0)
        self.control.reset()

    def attack(self, scenario: Scenario, *, seed: int, victim: str = "self", seconds: float | None = None) -> int:
        """Run the scenario in a child; returns its wait status. Raises AssertionError where it failed by itself."""
        answer = self._ask(
            do="run",
            store=str(self.store),
            journal=str(self.journal),
            seed=seed,
            steps=scenario.steps,
            group=scenario.group,
            background=True if scenario.steps == _MOST else None,
            victim=victim,
            seconds=seconds,
        )
        status = int(answer["status"])
        signalled = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        hung = signalled and seconds is None and not self.control.killed_at
        assert not hung, f"the workload hung: {answer['errors']}"
        assert signalled or status == 0, f"the workload ended with {status}: {answer['errors']}"
        return status

    def reap(self, *, kill: bool) -> int:
        """Wait until nothing is left of the last child; returns how many processes there were."""
        return int(self._ask(do="reap", kill=kill)["left"])

    def _ask(self, **task: Any) -> dict[str, Any]:
        assert self.server.stdin is not None
        self.server.stdin.write(json.dumps(task) + "\n")
        self.server.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.server.stdout is not None
        line = self.server.stdout.readline()
        assert line, f"the process that forks the victims ended with {self.server.wait()}"
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def _arena(folder: Path) -> Iterator[_Arena]:
    arena = _Arena(folder)
    try:
        yield arena
    finally:
        arena.close()


def run(
    *, rounds: int, seed: int, folder: Path, scenarios: Sequence[Scenario] = SCENARIOS, random_kills: bool = True
) -> dict[str, int | str]:
    """Do `rounds` kills, or as many as there are different ones; returns figures, the kills of each step among them.

    Raises:
        AssertionError: something was lost, half there, or damaged; the message says how to do that round again.
        ShimMissing: there is no C compiler, or this is not Linux.
    """
    folder.mkdir(parents=True, exist_ok=True)
    steps: Counter[str] = Counter()
    checked = alone = survived = 0
    with _arena(folder) as arena:
        by_chance = rounds // _RANDOM_SHARE if random_kills else 0
        points = _points(arena, scenarios, seed=seed)[: rounds - by_chance]
        for number, point in enumerate(points):
            try:
                found = _kill(arena, point, seed=seed)
            except AssertionError as error:
                raise AssertionError(f"{_again(point, seed)}, round {number}: {error}") from error
            survived += found.step is None
            alone += point.victim == "main" and found.step is not None
            steps[f"{point.scenario.name}: {found.step}"] += found.step is not None
            checked += found.checked
        for number in range(by_chance):
            try:
                checked += _kill_by_chance(arena, number, seed=seed)
            except AssertionError as error:
                raise AssertionError(f"kills by chance, seed {seed}, round {number}: {error}") from error
    return {
        "kills": sum(steps.values()) + by_chance,
        "by chance": by_chance,
        "worker left alone": alone,
        "not reached": survived,
        "checked": checked,
        "kinds of step": len(+steps),
        "steps": "\n".join(f"{count} {name}" for name, count in sorted((+steps).items())),
    }


def step_name(kind: Kind, path: str) -> str:
    """An operation without what differs from run to run."""
    for pattern, name in (
        (r"\d{12}-\d{12}", "ROWS"),
        (r"[0-9a-f]{8}-[0-9a-f-]{27}", "UID"),
        (r"[0-9a-f]{32}", "ID"),
        (r"\bg\d{6}", "gN"),
        (r"\b(tmp-tail|tmp-merge|old)-ID/.*", r"\1-ID/FILE"),
    ):
        path = re.sub(pattern, name, path)
    return f"{kind.name.lower()} {path or '.'}"


def _points(arena: _Arena, scenarios: Sequence[Scenario], *, seed: int) -> list[_Point]:
    """All points, in an order in which the first ones are of every kind of step in every scenario."""
    chosen = random.Random(seed)
    ranked: list[tuple[int, float, _Point]] = []
    for scenario in scenarios:
        arena.prepare(scenario)
        arena.attack(scenario, seed=seed)
        arena.reap(kill=True)
        names = [step_name(e.kind, e.path) for e in disk.read_log(arena.log) if e.kind != Kind.SNAPSHOT]
        numbers = list(range(1, arena.control.operations + 1))
        chosen.shuffle(numbers)
        seen: Counter[str] = Counter()
        for number in numbers:
            name = names[number - 1] if number <= len(names) else "the end"
            for victim in scenario.victims:
                point = _Point(scenario, number, after=chosen.random() < 1 / 2, victim=victim)
                ranked.append((seen[name], chosen.random(), point))
                seen[name] += 1
    return [point for _, _, point in sorted(ranked, key=lambda entry: entry[:2])]


def _kill(arena: _Arena, point: _Point, *, seed: int) -> _Killed:
    arena.prepare(point.scenario)
    control = arena.control
    if point.after:
        control.kill_after = point.number
    else:
        control.kill_before = point.number
    arena.attack(point.scenario, seed=seed, victim=point.victim)
    # A worker whose parent was killed may go on for a moment: the store is opened beside it.
    if point.victim != "main":
        arena.reap(kill=True)
    checked = check(arena.store, arena.journal, as_left=True)
    arena.reap(kill=False)
    killed = control.killed
    return _Killed(None if killed is None else step_name(*killed), checked)


def _kill_by_chance(arena: _Arena, number: int, *, seed: int) -> int:
    """One more kill on the store that the last one left."""
    if number % _CHAIN == 0:
        arena.clear()
    chosen = random.Random(f"{seed} {number}")
    everything = Scenario("by chance", "all", _MOST)
    arena.attack(everything, seed=seed + number, seconds=chosen.uniform(0.01, _LONGEST_SECONDS))
    arena.reap(kill=chosen.random() < 1 / 2)
    return check(arena.store, arena.journal, again=number % 4 == 3, as_left=True)


def _again(point: _Point, seed: int) -> str:
    when = "after" if point.after else "before"
    return (
        f"{point.victim} killed {when} operation {point.number} of {point.scenario.name} (--scenario "
        f"{point.scenario.name} --seed {seed} --operation {point.number}{' --after' if point.after else ''} --victim "
        f"{point.victim})"
    )


def _one_thread() -> dict[str, str]:
    return dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture.kills", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=_MOST)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scenario", choices=[scenario.name for scenario in SCENARIOS])
    parser.add_argument("--operation", type=int, help="kill once, at the operation of this number")
    parser.add_argument("--after", action="store_true", help="after it rather than before")
    parser.add_argument("--victim", choices=["self", "main"], default="self")
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args(arguments)
    scenarios = [scenario for scenario in SCENARIOS if given.scenario in (None, scenario.name)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        if given.operation:
            point = _Point(scenarios[0], given.operation, after=given.after, victim=given.victim)
            with _arena(folder) as arena:
                print(_kill(arena, point, seed=given.seed))
            return
        figures = run(
            rounds=given.rounds,
            seed=given.seed,
            folder=folder,
            scenarios=scenarios,
            random_kills=given.scenario is None,
        )
    for name, value in figures.items():
        print(f"{name}: {value}" if "\n" not in str(value) else f"{name}:\n{value}")


if __name__ == "__main__":
    main()
