"""The tables of a run, aligned Markdown, as printed and as kept; and docs/benchmarks.md with them.

    python -m benchmarks.report [--form NAME] [--docs]

From the answers that are there; nothing is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import tables
from benchmarks.data import COLLECTIONS
from benchmarks.goals import goals
from benchmarks.run import RESULTS
from benchmarks.systems import SYSTEMS

__all__ = ["Answers", "markdown", "publish", "read"]

DOCS = Path(__file__).resolve().parents[1] / "docs"
HEAD = """\
# Benchmarks

`make bench` asks every question in the quick form, `make bench FULL=1` in the full one (hours), and `DOCS=1` writes
this page. The quick form takes about twenty minutes once the peers have built their indexes, which happens the first
time and is kept in RAGVEC_BENCH_CACHE, else in the user's cache folder (about 15 GB); ragvec builds its own again
whenever its sources change. What was answered is not asked again, unless with `AGAIN=1`. A part of it alone:

    python -m benchmarks.run --only curves --data real --systems ragvec scann hnswlib

- `curves.py`: queries/s against recall, one thread and all; memory, build, disk, time to the first answer
- `filtered.py`: the same with filters from 50 % to 0.01 %, and with filters that go with meaning
- `writes.py`: latency and recall while 1,000 rows a second arrive
- `pages.py`: 10,000 results, page by page
- `small.py`: 10 to 5,000 rows
- `inserts.py`: rows a second by 500-row batches

The collections are made by `benchmarks/data.py`, and the settings of each system are in `benchmarks/systems/`. Beside
them stand `benchmarks/quality.py` (how good the answers are), `filters.py` (posting lists at a million rows),
`segments.py` (one ANN segment) and `store.py` (the store beside numpy).

## Before you read a figure
"""
CAVEATS = """\
- One machine, named below, whose {processors} processors the systems and the measurement share. Ratios in one run mean
  more than any figure: repeat the run before you rely on a difference of a tenth.
- `real` is held-out search: its queries are records left out of the rows. `million` is semi-synthetic and `wide`
  synthetic (`benchmarks/data.py` has the recipes): they show how things grow, not what real data of that size give.
- Raw libraries return row numbers: they hold no keys or metadata, check no durability, and cannot change without
  being built again, or only in part. ragvec's rows are a durable store which is searched by key. Products return keys,
  distances and metadata.
- One thread means one processor for the whole process, threads of the system included. Queries/s "at recall r" are read
  from the frontier of the measured settings, log-linear between two points, and the first point's where every setting
  is above r. p50 and p99 are those of the first measured setting on the frontier which reaches 0.98, else the best.
- Memory is anonymous memory of the process that answered, beyond the interpreter with its imports; pages of mapped
  files stand apart, since the system drops them when it needs memory. All runs are on a warm page cache.
- Qdrant here is its local mode, Milvus is Milvus Lite 3, both in Python: the servers of the same names are other
  programs. Qdrant's insert time is that of its first 2,000 points, taken to be the same for the others. LangChain's
  store is measured on the whole collection in the full form only.
- Each system runs with the settings that `benchmarks/systems/` shows; somebody who knows it better may get more.
"""

Answers = dict[tuple[str, str], dict[str, Any]]


def read(form: str) -> Answers:
    """What was answered: by (question, collection), by system; collections in the order of `COLLECTIONS`."""
    found: Answers = {}
    for data in COLLECTIONS:
        for path in sorted((RESULTS / form).glob(f"*/{data}/*.json")):
            found.setdefault((path.parts[-3], data), {})[path.stem] = json.loads(path.read_text())
    return found


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table whose columns are aligned, the first to the left."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(head))]

    def drawn(line: Sequence[str]) -> str:
        cells = [
            line[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)),
        ]
        return f"| {' | '.join(cells)} |"

    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([drawn(lines[0]), drawn(rule), *map(drawn, lines[1:])])


def report(form: str, answers: Answers) -> str:
    """All tables, with a heading for each."""
    if not answers:
        return "nothing has been measured"
    parts = []
    for title, note, head, rows in _sections(answers):
        parts.append(f"### {title}\n\n{note}\n\n{markdown(head, rows)}")
    times = sorted(one["measured"] for group in answers.values() for one in group.values())
    versions = sorted(
        {
            f"{SYSTEMS[name.removesuffix('+process')].distribution} {one['version']}"
            for group in answers.values()
            for name, one in group.items()
            if one["version"]
        }
    )
    notes = {
        data: one["collection"] for (_, data), group in answers.items() for one in group.values() if "collection" in one
    }
    collections = "\n".join(f"- `{data}`: {note}" for data, note in notes.items())
    about = (
        f"{_machine()}. Python {platform.python_version()}. "
        f"The {form} form, measured {times[0]} to {times[-1]}.\n\n{', '.join(versions)}.\n\n{collections}"
    )
    return "\n\n".join([about, *parts])


def _sections(answers: Answers) -> Iterable[tables.Section]:
    reached = goals(answers)
    if reached:
        yield (
            "Beside the goals",
            "Ratios are of figures in this run.",
            ("measure", "ragvec", "beside", "ratio"),
            reached,
        )
    makers: dict[str, Callable[[str, dict[str, Any]], Iterable[tables.Section]]] = {
        "curves": tables.curves,
        "filtered": tables.filtered,
        "writes": tables.writes,
        "pages": tables.pages,
        "small": tables.small,
        "inserts": tables.inserts,
    }
    for question, make in makers.items():
        for (asked, data), group in answers.items():
            if asked == question:
                yield from make(data, group)


def _machine() -> str:
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
        memory = int(Path("/proc/meminfo").read_text().split()[1]) / 2**20
    except (OSError, StopIteration):
        return f"{platform.system()}, {model}, {os.cpu_count()} processors"
    return f"{platform.system()} {platform.release()}, {model}, {os.cpu_count()} processors, {memory:.0f} GiB"


def publish(form: str, *, docs: bool = False) -> None:
    """Print the report of a form and keep it beside the answers with the plots, or with `docs` in docs/."""
    answers = read(form)
    text = report(form, answers)
    print(text)
    folder = RESULTS / form
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.md").write_text(text + "\n")
    try:
        from benchmarks import plots
    except ModuleNotFoundError as error:
        print(f"no plots: {error}; pip install 'ragvec[bench]'", file=sys.stderr)
        drawn = []
    else:
        drawn = plots.draw(answers, DOCS if docs else folder)
    if docs:
        (DOCS / "benchmarks.md").write_text(page(text, drawn))


def page(text: str, drawn: Sequence[tuple[str, Path]]) -> str:
    """docs/benchmarks.md around the text of a report."""
    images = "".join(f"![{label}]({path.name})\n\n" for label, path in drawn)
    return f"{HEAD}\n{CAVEATS.format(processors=os.cpu_count())}\n## Results\n\n{images}{text}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--form", default="quick", help="quick, full, or rehearsal-ROWS")
    parser.add_argument("--docs", action="store_true", help="write docs/benchmarks.md and the plots")
    options = parser.parse_args()
    publish(options.form, docs=options.docs)


if __name__ == "__main__":
    main()
