"""Run the benchmarks and print the tables: `make bench`, `make bench FULL=1`, or a part of them.

    python -m benchmarks.run                                                  the quick form
    python -m benchmarks.run --only curves filtered --data real --systems ragvec scann
    python -m benchmarks.run --rows 5000 --data real                          a rehearsal on the first rows
    python -m benchmarks.run --docs                                           write docs/benchmarks.md and its plots too

A system that is absent, fails or takes too long is a line that says so. Answers are kept in benchmarks/results, and
what was answered by this version of a system is not asked again, unless --again; so a run that was cut short goes on
where it was. What peers built is kept in the cache (see benchmarks/data.py) and timed when it is built.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import curves, filtered, inserts, pages, small, writes
from benchmarks.data import COLLECTIONS, collection
from benchmarks.plan import FULL, QUESTIONS, QUICK, Form, Job, jobs
from benchmarks.processes import Failed
from benchmarks.systems import SYSTEMS, version

__all__ = ["RESULTS", "kept", "main"]

RESULTS = Path(__file__).resolve().parent / "results"
PROCESS = "+process"


def kept(job: Job, *, form: str) -> Path:
    """The file of an answer."""
    return RESULTS / form / job.question / job.data / f"{job.system}.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="the full form: hours")
    parser.add_argument("--only", nargs="+", choices=QUESTIONS, help="these questions")
    parser.add_argument("--data", nargs="+", choices=sorted(COLLECTIONS), help="these collections")
    parser.add_argument("--systems", nargs="+", choices=sorted(SYSTEMS), help="these systems")
    parser.add_argument("--rows", type=int, help="only the first rows of each collection")
    parser.add_argument("--again", action="store_true", help="ask again what has been answered")
    parser.add_argument("--limit", type=float, help="seconds that one process may take")
    parser.add_argument("--docs", action="store_true", help="write docs/benchmarks.md and the plots")
    options = parser.parse_args()
    form = FULL if options.full else QUICK
    if options.rows is not None:
        form = msgspec.structs.replace(form, name=f"rehearsal-{options.rows}")
    began = time.monotonic()
    for job in jobs(form):
        if (
            job.question in (options.only or QUESTIONS)
            and job.data in (options.data or COLLECTIONS)
            and job.system.removesuffix(PROCESS) in (options.systems or SYSTEMS)
        ):
            _do(job, form=form, rows=options.rows, again=options.again, limit=options.limit)
    print(f"{(time.monotonic() - began) / 60:.1f} minutes\n", file=sys.stderr)
    from benchmarks.report import publish

    publish(form.name, docs=options.docs and options.rows is None)


def _do(job: Job, *, form: Form, rows: int | None, again: bool, limit: float | None) -> None:
    """Answer one job, unless its answer is there, and keep it, a failure too."""
    path, now = kept(job, form=form.name), version(job.system.removesuffix(PROCESS))
    if path.is_file() and not again:
        known = json.loads(path.read_text())
        if known["version"] == now and ("result" in known or known["failed"].startswith("over the time")):
            return
    print(f"{job.question} · {job.data} · {job.system} ...", end=" ", file=sys.stderr, flush=True)
    answer: dict[str, Any] = {"version": now, "measured": datetime.datetime.now().isoformat(timespec="seconds")}
    began = time.monotonic()
    try:
        given = collection(job.data)
        count = min(len(given), rows or len(given))
        answer["collection"] = f"{count:,} × {given.dimension}, {given.note}"
        if now is None:
            raise Failed("not installed")
        answer["result"] = _answer(job, form=form, rows=rows, limit=limit)
        state = "done"
    except Failed as failure:
        answer["failed"] = state = str(failure)
    answer["took"] = time.monotonic() - began
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(answer, indent=1))
    print(f"{state} ({answer['took']:.0f} s)", file=sys.stderr)


def _answer(job: Job, *, form: Form, rows: int | None, limit: float | None) -> dict[str, Any]:
    threads = os.cpu_count() or 1
    most = limit or form.limit
    name = job.system.removesuffix(PROCESS)
    building = limit or form.building_limit
    common: dict[str, Any] = {"data": job.data, "rows": rows, "threads": threads}
    if job.question == "curves":
        return curves.measure(name, **common, queries=form.queries, seconds=form.seconds, limit=building)
    if job.question == "pages":
        return pages.measure(**common, queries=form.pages, limit=building)
    if job.question == "small":
        return small.measure(name, data=job.data, queries=100, seconds=form.seconds / 10, limit=most)
    if job.question == "inserts":
        return inserts.measure(
            name, data=job.data, count=form.inserts, seconds=form.inserting_seconds, limit=most, threads=threads
        )
    points = _points(name, data=job.data, form=form)
    if job.question == "filtered":
        return filtered.measure(
            name, **common, queries=form.filtered_queries, seconds=form.filtered_seconds, limit=building, points=points
        )
    good = [point["setting"] for point in points if point["recall"] >= filtered.TARGET]
    setting = good[0] if good else points[-1]["setting"] if points else None
    return writes.measure(
        name,
        **common,
        queries=100,
        seconds=form.writing_seconds,
        limit=building,
        setting=setting,
        own_process=job.system.endswith(PROCESS),
    )


def _points(name: str, *, data: str, form: Form) -> list[dict[str, Any]]:
    """The unfiltered curve of the system, where it has been measured, the fastest setting first."""
    path = kept(Job("curves", data, name), form=form.name)
    known = json.loads(path.read_text()) if path.is_file() else {}
    points = known.get("result", {}).get("points", [])
    return sorted(points, key=lambda point: -point["rate"])


if __name__ == "__main__":
    main()
