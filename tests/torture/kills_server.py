"""A warm process under the file layer that forks one child for each run of the workload, and says how it ended.

Loading Python, numpy and the package takes half a second, a fork some milliseconds; LD_PRELOAD must be there before
either. It reads a JSON object a line: {"do": "run", …} forks a child that does `workload.run` and answers
{"status": its wait status, "errors": what it wrote to stderr}; {"do": "reap", "kill": bool} waits for what the child
left behind, such as a worker process that outlives it, and answers {"left": how many there were}.
"""

from __future__ import annotations

import ctypes
import faulthandler
import json
import os
import select
import signal
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

from ragvec.ann.backends import available_backend
from tests.torture.disk import Control
from tests.torture.workload import Journal, run

__all__: list[str] = []

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER: orphans of the children become children of this process
_LONGEST_SECONDS = 60.0
_LAST_WORDS_SECONDS = 1.0


def _child(task: dict[str, Any], errors: int) -> None:
    status = 1
    try:
        os.dup2(errors, 2)
        if task["victim"] == "main":
            Control(Path(os.environ["RAGVEC_DISK_CONTROL"])).victim = os.getpid()
        journal = Journal(Path(task["journal"]))
        store = Path(task["store"])
        run(
            store,
            journal,
            seed=task["seed"],
            steps=task["steps"],
            group=task["group"],
            background=task["background"],
        )
        status = 0
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        sys.stderr.flush()
        os._exit(status)


def _run(task: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryFile() as errors:
        pid = os.fork()
        if not pid:
            _child(task, errors.fileno())
        handle = os.pidfd_open(pid)
        ended, _, _ = select.select([handle], [], [], task["seconds"] or _LONGEST_SECONDS)
        hung = not ended and task["seconds"] is None
        if hung:
            os.kill(pid, signal.SIGUSR1)  # it says where its threads are
            select.select([handle], [], [], _LAST_WORDS_SECONDS)
        if not ended:
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        os.close(handle)
        errors.seek(0)
        said = errors.read().decode(errors="replace")
    return {"status": status, "errors": f"it hung and was killed; {said}" if hung else said}


def _reap(*, kill: bool) -> dict[str, Any]:
    left = 0
    while True:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split()
        if kill:
            for pid in children:
                os.kill(int(pid), signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return {"left": left}
        left += 1


def main() -> None:
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    faulthandler.register(signal.SIGUSR1)
    available_backend()
    with tempfile.TemporaryDirectory() as folder:
        # What is imported on use is imported now. No segment is built: that would leave threads, which do not fork.
        for group in ("commit", "catalog"):
            run(Path(folder) / "store", Journal(Path(folder) / "journal"), seed=0, steps=9, group=group)
    print(json.dumps({"ready": os.getpid()}), flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        print(json.dumps(_run(task) if task["do"] == "run" else _reap(kill=task["kill"])), flush=True)


if __name__ == "__main__":
    main()
