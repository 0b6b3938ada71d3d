"""A task in a process of its own, watched from outside: its answer, a limit on its time, the memory it holds.

    python -m benchmarks.processes MODULE FUNCTION ARGUMENTS.json RESULT.json      is what the child runs

The child imports only the module asked for. Memory is read from /proc for the child and its descendants: anonymous
(RssAnon) apart from mapped files (RssFile), whose pages the system may drop and share.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

__all__ = ["Failed", "in_child", "memory", "pin"]

CHECKOUT = Path(__file__).resolve().parents[1]
LAST_LINES = 6


class Failed(Exception):
    """The child ended without an answer; the text says how."""


def in_child(
    function: str,
    arguments: dict[str, Any],
    *,
    limit: float,
    threads: int,
    sample: bool = True,
    python: str = sys.executable,
) -> Any:
    """Run `module:function` with keyword `arguments` (JSON) in a new interpreter, `python`, and return its JSON answer,
    a dict, with `peak_anonymous` (bytes, sampled) and `started` (monotonic seconds before the process was made) added.

    Libraries are held to `threads` threads, and the process to one processor when that is 1. Raises Failed when it
    fails or is not done within `limit` seconds.
    """
    module, name = function.split(":")
    with tempfile.TemporaryDirectory(prefix="ragvec-bench-") as scratch:
        given, answer, log = (Path(scratch) / part for part in ("arguments.json", "result.json", "log.txt"))
        given.write_text(json.dumps({**arguments, "_threads": threads}))
        command = [python, "-m", "benchmarks.processes", module, name, str(given), str(answer)]
        peak, started = 0, time.monotonic()
        with log.open("wb") as output:
            child = subprocess.Popen(
                command, cwd=CHECKOUT, env=_environment(threads), stdout=output, stderr=output, start_new_session=True
            )
            try:
                while True:
                    try:
                        child.wait(timeout=0.05 if sample else 1.0)
                        break
                    except subprocess.TimeoutExpired:
                        peak = max(peak, memory(child.pid)["anonymous"]) if sample else 0
                    if time.monotonic() - started > limit:
                        raise Failed(f"over the time limit of {limit:.0f} s")
            finally:
                if child.poll() is None:
                    # Its session, for it may have made processes of its own.
                    os.killpg(child.pid, signal.SIGKILL)
                    child.wait()
        if child.returncode != 0 or not answer.is_file():
            raise Failed(_reason(log, child.returncode))
        result = json.loads(answer.read_text())
    return {**result, "peak_anonymous": peak, "started": started}


def memory(pid: int | None = None) -> dict[str, int]:
    """Bytes of resident memory of a process and its descendants, `anonymous` and `files`; zeros once it has ended."""
    total = {"anonymous": 0, "files": 0}
    waiting = [pid or os.getpid()]
    while waiting:
        process = Path(f"/proc/{waiting.pop()}")
        try:
            lines = (process / "status").read_text().splitlines()
            for task in (process / "task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            continue
        for line in lines:
            field, _, value = line.partition(":")
            if field in ("RssAnon", "RssFile"):
                total["anonymous" if field == "RssAnon" else "files"] += 1024 * int(value.split()[0])
    return total


def pin() -> None:
    """Hold this process, and the threads it makes from now on, to one processor."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def _environment(threads: int) -> dict[str, str]:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    quiet = {"ANONYMIZED_TELEMETRY": "False", "GRPC_VERBOSITY": "ERROR", "RUST_LOG": "error"}
    # Whatever is asked here, packages start from compiled files as installed ones do, ours from a checkout too.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**inherited, **{name: str(threads) for name in names}, **quiet}


def _reason(log: Path, code: int) -> str:
    """What the child said last: the message of an exception, else its last lines and exit code."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    if lines and lines[-1].startswith("ModuleNotFoundError"):
        return "not installed: " + lines[-1].split(": ", 1)[1]
    if lines and lines[-1].startswith("benchmarks.systems.base.Unsupported"):
        return lines[-1].split(": ", 1)[-1]
    return f"ended with {code}: " + " < ".join(line.strip()[:200] for line in reversed(lines[-LAST_LINES:]))


def main() -> None:
    module, name, given, answer = sys.argv[1:]
    arguments = json.loads(Path(given).read_text())
    if arguments.pop("_threads") == 1:
        pin()
    result = getattr(importlib.import_module(module), name)(**arguments)
    Path(answer).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
