"""One of the processes of `tests.torture.processes`: carries out operations in several threads, and logs each.

    python -m tests.torture.processes_actor STORE LOGS --process N --seed N --threads N --operations N
    python -m tests.torture.processes_actor STORE LOGS --process N --seed N --writer

It says "ready", waits for a line, and says "done" at its end; a writer instead puts batches until it is killed, and
says "." for each. A log, one for each thread, has JSON lines: what begins, with the time on a clock that all processes
share; the number that a commit is about to get; and the result, with the time. Each is written by one call, so that a
process that is killed leaves at most nothing of its last line.
"""

from __future__ import annotations

import argparse
import faulthandler
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from ragvec.ann import tuning
from ragvec.api.exceptions import ClientError
from ragvec.engine.local import compact, generations, merging, plan, segments, upkeep, worker_process
from ragvec.engine.local.posting_feed import PostingFeed
from ragvec.engine.local.records import Records
from ragvec.errors import RagvecError
from ragvec.store import Index, Store
from tests.torture.processes_plan import BUCKET, DIMENSION, Operation, Planner, attributes, filter_of, point

__all__ = ["Log", "main", "shrink"]

_OPEN_LISTS = 3
_TOO_LONG_SECONDS = 600.0


def shrink(*, worker: bool, approximate: bool) -> None:
    """Have segments, posting lists, merges and compactions come after some hundred rows instead of thousands, in this
    process; with `worker` a worker process carries them out. With `approximate` small segments are ScaNN's, and
    searched as large ones are."""
    merging.SEGMENT_MIN_ROWS = segments.SEGMENT_MIN_ROWS = 150  # type: ignore[attr-defined]  # not exported there
    merging._SMALL_ROWS = 300
    compact.FEWEST_DEAD = upkeep.FEWEST_DEAD = 200  # type: ignore[attr-defined]  # not exported there
    generations.RETIRED_SECONDS = upkeep.RETIRED_SECONDS = 0.5  # type: ignore[attr-defined]  # not exported there
    defaults = PostingFeed.__init__.__kwdefaults__
    assert defaults is not None
    defaults["block_rows"] = 128
    if worker:
        worker_process.LARGE = 1
    if approximate:
        tuning.EXHAUSTIVE_ROWS = 64
        plan.ALWAYS_EXACT_ROWS = 50
        plan._ANN_CALL = 0.01
        plan._WIDEST = 1.0


class Log:
    """The log of one thread."""

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._number = 0

    def begin(self, operation: Operation) -> None:
        """It begins now."""
        self._number += 1
        self._write({"n": self._number, "begin": operation, "at": time.monotonic_ns()})

    def sequence(self, sequence: int) -> None:
        """The change of the operation under way is about to be committed under this number."""
        self._write({"n": self._number, "sequence": sequence})

    def end(self, result: Any) -> None:
        """It ended just now."""
        self._write({"n": self._number, "at": time.monotonic_ns(), "result": result})

    def _write(self, line: dict[str, Any]) -> None:
        os.write(self._handle, msgspec.json.encode(line) + b"\n")


class _Mismatch(Exception):
    """What is stored is not what its version says."""


_own = threading.local()


def _note_sequences() -> None:
    """Log the number of each commit; nothing in the store's behaviour is changed by it."""
    original: Callable[..., None] = Records.set_state

    def noted(sql: Any, **state: Any) -> None:
        original(sql, **state)
        log: Log | None = getattr(_own, "log", None)
        if log is not None:
            log.sequence(state["sequence"])

    Records.set_state = staticmethod(noted)  # type: ignore[method-assign]  # observed, not replaced


class _Thread:
    def __init__(self, store: Store, log: Log, planner: Planner) -> None:
        self._store, self._log, self._planner = store, log, planner
        self._client = store.client()
        self._lists: list[tuple[Operation, str]] = []
        """Lists whose next page is still to be read, with its token."""
        self._begun = 0

    def work(self, operations: int) -> None:
        _own.log = self._log
        for _ in range(operations):
            if self._lists and self._planner.chance(0.4):
                operation, token = self._lists.pop(self._planner.choose(among=list(range(len(self._lists)))))
                self._perform(operation, token=token)
            else:
                self._perform(self._planner.next())

    def write(self) -> None:
        _own.log = self._log
        while True:
            self._perform(self._planner.batch("s0"))
            print(".", end="", flush=True)

    def _perform(self, operation: Operation, *, token: str | None = None) -> None:
        if operation["do"] in ("list", "page") and token is None:
            self._begun += 1
            operation["list"] = self._begun
        self._log.begin(operation)
        try:
            result = self._carry_out(operation, token)
        except ClientError as error:
            result = _failure(error.__cause__ or error)
        except (RagvecError, _Mismatch) as error:
            result = _failure(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the judge is to see it
            result = _failure(error)
        self._log.end(result)

    def _carry_out(self, operation: Operation, token: str | None) -> Any:
        index = self._store.bucket(BUCKET).index(operation["index"])
        where = filter_of(operation.get("where"))
        match operation["do"]:
            case "put":
                keys, version = operation["keys"], operation["version"]
                index.put(keys, [point(key, version) for key in keys], [attributes(key, version) for key in keys])
                return None
            case "delete":
                return index.delete(operation["keys"])
            case "delete_where":
                return index.delete(where=where)
            case "get":
                return {record.key: _version(record) for record in index.get(operation["keys"])}
            case "count":
                return index.count(where)
            case "stats":
                stats = index.stats()
                return [stats.vectors, stats.sequence]
            case "query":
                return self._query(index, operation, where)
            case "list" | "page":
                return self._page(operation, where, token)
            case "create":
                index.bucket.create_index(index.name, dimension=DIMENSION, metric="euclidean")
            case "drop":
                index.delete_index()
            case "compact":
                index.compact()
            case "optimize":
                index.optimize()
            case "close":
                self._store.close()
        return None

    def _query(self, index: Index, operation: Operation, where: dict[str, Any] | None) -> list[list[Any]]:
        effort = math.inf if operation["effort"] is None else operation["effort"]
        hits = index.query(operation["at"], k=operation["k"], where=where, data=True, effort=effort)
        return [[hit.key, _version(hit), float(hit.distance)] for hit in hits]

    def _page(self, operation: Operation, where: dict[str, Any] | None, token: str | None) -> dict[str, Any]:
        common: dict[str, Any] = {"vectorBucketName": BUCKET, "indexName": operation["index"], "returnMetadata": True}
        common |= {"maxResults": operation["size"]} | ({} if where is None else {"filter": where})
        common |= {} if token is None else {"nextToken": token}
        if operation["do"] == "list":
            answer = self._client.list_vectors(**common, returnData=True)
        else:
            answer = self._client.query_vectors(
                **common, topK=operation["k"], queryVector={"float32": operation["at"]}, returnDistance=True
            )
        vectors, token = answer["vectors"], answer.get("nextToken")
        for vector in vectors:
            if vector["metadata"] != attributes(vector["key"], vector["metadata"]["v"]):
                raise _Mismatch(f"{vector}")
            if "data" in vector and vector["data"]["float32"] != point(vector["key"], vector["metadata"]["v"]):
                raise _Mismatch(f"{vector}")
        if token is not None and len(self._lists) < _OPEN_LISTS:
            after = vectors[-1]["key"] if vectors else operation.get("after")
            onward = (
                {"after": after} if operation["do"] == "list" else {"offset": operation["offset"] + operation["size"]}
            )
            self._lists.append((operation | onward, token))
        found = [[vector["key"], vector["metadata"]["v"], vector.get("distance", 0.0)] for vector in vectors]
        return {"found": found, "more": token is not None}


def _version(record: Any) -> int:
    version: int = record.metadata["v"]
    if record.metadata != attributes(record.key, version) or record.data.tolist() != point(record.key, version):
        raise _Mismatch(f"{record}")
    return version


def _failure(error: BaseException) -> dict[str, str]:
    return {"error": type(error).__name__, "text": str(error)[:500]}


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("store", type=Path)
    parser.add_argument("logs", type=Path)
    parser.add_argument("--process", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--operations", type=int, default=0)
    parser.add_argument("--writer", action="store_true")
    options = parser.parse_args()
    # Only a process that waits for ever is still there by then; its last words tell where.
    faulthandler.dump_traceback_later(_TOO_LONG_SECONDS, exit=True)
    shrink(worker=options.process == 0, approximate=options.process % 2 == 1)
    _note_sequences()
    sys.setswitchinterval(1e-5)  # threads take turns within operations, too
    # Two handles in one process, as two parts of a program may have them.
    stores = [Store(options.store), Store(options.store)]
    workers = [
        _Thread(
            stores[thread % 2],
            Log(options.logs / f"{options.process}-{thread}.log"),
            Planner(options.seed, process=options.process, thread=thread),
        )
        for thread in range(options.threads)
    ]
    print("ready", flush=True)
    sys.stdin.readline()
    if options.writer:
        workers[0].write()
    threads = [threading.Thread(target=worker.work, args=(options.operations,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for store in stores:
        store.close()
    print("done", flush=True)


if __name__ == "__main__":
    main()
