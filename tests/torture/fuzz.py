"""Fuzzing, guided by coverage where atheris is installed (`pip install 'ragvec[fuzz]'`, CPython 3.11 on Linux x86-64).

A round is a second for each target of `tests.fuzz`; each has a process of its own, which may have 500 MB of memory more
than it starts with, and 20 seconds for one input. Where there is no atheris, inputs are made by chance from the same
seeds, and the figures say so. An input that breaks a target is kept in `tests/fuzz/corpus/<target>`, where the default
tests try it from then on.

    python -m tests.torture.fuzz TARGET --seconds 60 --seed 1 --folder FOLDER
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib.util
import logging
import re
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

__all__ = ["main", "run"]

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT / "tests" / "fuzz" / "corpus"
_MEMORY = 500 << 20
_SECONDS = 20
_WATCHED = ["ragvec", "docx", "html", "markdown_it", "pypdf"]
"""Packages whose coverage guides the inputs."""
_DONE = re.compile(r"(?:stat::number_of_executed_units: |Done )(\d+)")


def run(*, rounds: int, seed: int, folder: Path) -> dict[str, int | str]:
    """Fuzz every target for `rounds` seconds; figures of all together."""
    executions, by_chance = {}, importlib.util.find_spec("atheris") is None
    for name in _names():
        place = folder / name
        place.mkdir(parents=True)
        executions[name] = _fuzz(name, seconds=rounds, seed=seed, folder=place)
    fewest = min(executions, key=executions.__getitem__)
    return {
        "targets": len(executions),
        "executions": sum(executions.values()),
        "fewest": f"{executions[fewest]:,} ({fewest})",
        "guided by": "chance (no atheris)" if by_chance else "coverage",
    }


def _names() -> list[str]:
    command = [sys.executable, "-c", "from tests.fuzz.registry import TARGETS; print(*TARGETS)"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()


def _fuzz(name: str, *, seconds: int, seed: int, folder: Path) -> int:
    """The number of inputs tried. Raises AssertionError for one that breaks the target."""
    options = ["--seconds", str(seconds), "--seed", str(seed), "--folder", str(folder)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.torture.fuzz", name, *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds * 5 + 300,
    )
    told = done.stdout + done.stderr
    if done.returncode:
        kept = [_keep(name, path) for path in sorted(folder.glob("*-*")) if path.is_file()]
        raise AssertionError(f"{name}, seed {seed}: {_last_lines(told)}; kept as {', '.join(kept) or 'nothing'}")
    return max((int(found) for found in _DONE.findall(told)), default=0)


def _keep(name: str, path: Path) -> str:
    data = path.read_bytes()
    kept = CORPUS / name / hashlib.sha256(data).hexdigest()[:16]
    kept.parent.mkdir(exist_ok=True)
    kept.write_bytes(data)
    return str(kept.relative_to(ROOT))


def _last_lines(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [
        line for line in lines if re.match(r"\w*(?:Error|Exception|ERROR|Interrupt)|.*(?:timeout|out-of-memory)", line)
    ]
    return " · ".join((errors or lines)[-3:])[:600]


def main() -> None:
    """Fuzz one target in this process; the exit code tells whether an input broke it."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture.fuzz")
    parser.add_argument("target")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, required=True, help="where an input that breaks the target is written")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    with contextlib.ExitStack() as stack:
        guided = importlib.util.find_spec("atheris") is not None
        if guided:
            import atheris

            stack.enter_context(atheris.instrument_imports(include=_WATCHED, enable_loader_override=False))
        from tests.fuzz.registry import TARGETS
    target = TARGETS[arguments.target]
    # The first run of a target makes what it needs, a store or a library that is imported on use.
    for data in target.seeds:
        target.run(data)
    warnings.simplefilter("error")
    if guided:
        _by_coverage(target.run, target.seeds, arguments)
    _by_chance(target.run, target.seeds, arguments)


def _by_coverage(test, seeds, arguments) -> NoReturn:  # type: ignore[no-untyped-def]  # a Target's, and argparse's
    import atheris

    given = arguments.folder / "seeds"
    given.mkdir()
    for number, data in enumerate(seeds):
        (given / str(number)).write_bytes(data)
    most = (_resident() + _MEMORY) >> 20
    options = [
        f"-max_total_time={arguments.seconds}",
        f"-seed={arguments.seed}",
        f"-timeout={_SECONDS}",
        f"-rss_limit_mb={most}",
        f"-artifact_prefix={arguments.folder}/",
        "-max_len=4096",
        "-print_final_stats=1",
        "-close_fd_mask=0",
    ]
    atheris.Setup([sys.argv[0], *options, str(given)], test)
    atheris.Fuzz()
    raise SystemExit(0)


def _by_chance(test, seeds, arguments) -> NoReturn:  # type: ignore[no-untyped-def]  # as above
    import itertools

    from tests.fuzz.harness import mutants

    end = time.monotonic() + arguments.seconds
    most = _resident() + _MEMORY
    tried = 0
    for data in itertools.islice(mutants(seeds, seed=arguments.seed), 1 << 60):
        case = arguments.folder / f"case-{tried}"
        with _watched(case, data):
            try:
                test(data)
            except BaseException:
                case.write_bytes(data)
                raise
        if _resident() > most:
            case.write_bytes(data)
            raise AssertionError(f"out-of-memory: more than {_MEMORY:,} bytes")
        tried += 1
        if time.monotonic() > end:
            break
    print(f"Done {tried} runs")
    raise SystemExit(0)


@contextlib.contextmanager
def _watched(case: Path, data: bytes) -> Iterator[None]:
    """End the process when the input takes too long, and keep it."""
    began = time.process_time()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_SECONDS):
            if time.process_time() - began > _SECONDS:
                import os

                case.write_bytes(data)
                print(f"timeout: an input takes more than {_SECONDS} seconds", file=sys.stderr, flush=True)
                os._exit(1)

    if len(data) > 1_000:
        threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _resident() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
