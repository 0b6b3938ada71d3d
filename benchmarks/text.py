"""Text search on up to a million short texts: ragvec beside SQLite FTS5, bm25s and tantivy. Prints a Markdown table.

    python -m benchmarks.text [--peers-python PYTHON]                1,000,000 texts
    python -m benchmarks.text --rows 20000                           a rehearsal

Peers that the interpreter given for them does not have are left out, each with a line that says so. Without the folder
of real texts (RAGVEC_TEST_DATA, else ../shared/data beside the checkout) nothing is measured.

Caveats first. The texts are the 117,659 glosses of WordNet, then variations: a random gloss in which each word is
replaced, with a probability of 0.3, by a word of another random gloss, and every tenth with its own number at the end;
all seeded. The 50 questions are natural ones with their stop words, asked one at a time, top 10, warm, by a process
that is held to one processor, as is the one that builds.

Each system has its own words and stems; ragvec gives stop words half weight in a question, the others full weight. So
`shared`, the mean share of ragvec's ten best that a system has among its own, says how alike answers are, not how good.
`processor` is processor time a question, mean; p50 and p99 are times on the clock. `without` is the median for the
questions with their stop words left out. `first answer` is from opening on, for bm25s with compiling where it does.
`resident` is what opening and asking add, files mapped into memory included.

A store also holds vectors of 384 dimensions and metadata, and its answers bring the metadata: its size and times are
those of all that. The filter lets through 2 % of the records, which go neither with meaning nor with order.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import quantile
from benchmarks.processes import Failed, in_child
from benchmarks.records import real_folder
from ragvec.text.words import STOP_WORDS

__all__ = ["QUESTIONS", "main", "variations"]

REPLACED = 0.3
NUMBERED = 10
CHUNK = 50_000
LIMIT = 600.0

QUESTIONS = (
    "how do plants turn light into energy",
    "a large animal that lives in the sea and eats fish",
    "what is the tool for cutting wood",
    "who was the first president of the united states",
    "the feeling of being afraid of something",
    "a disease of the lungs caused by dust",
    "where do birds go in winter",
    "a person who makes shoes",
    "why does iron rust in wet air",
    "the study of the stars and planets",
    "how is cheese made from milk",
    "a small boat with oars",
    "to speak in a very low voice",
    "what do you call the young of a horse",
    "an instrument for measuring the pressure of the air",
    "a river in the south of france",
    "the money paid for the use of a house",
    "what makes the sea salty",
    "a bird that cannot fly",
    "to move quickly on foot",
    "a game played with a ball and a bat",
    "who wrote plays in ancient greece",
    "an act of kindness to a stranger",
    "the part of the eye that is coloured",
    "how does the heart pump blood through the body",
    "a metal that is liquid at room temperature",
    "the capital and largest city of a country in africa",
    "a plant with yellow flowers used in medicine",
    "what happens when water boils",
    "to take something that belongs to another",
    "a room where food is cooked",
    "the war between the north and the south",
    "a sweet drink made of fruit",
    "how to tie a rope to a post",
    "a belief in more than one god",
    "an insect that makes honey and lives in a hive",
    "what protects a house from lightning",
    "a sudden loss of consciousness",
    "the branch of mathematics that deals with triangles",
    "cloth woven from the hair of goats",
    "a vehicle with two wheels",
    "someone who is in charge of a ship",
    "to become smaller or weaker over time",
    "a chemical used to kill weeds",
    "the time of year when leaves fall",
    "how do judges decide a case in court",
    "a hole in the ground where an animal lives",
    "a musical instrument with strings and a bow",
    "what keeps an aeroplane in the air",
    "the way people greet each other in the street",
)

SYSTEMS = {
    "ragvec": "ragvec, lists in files",
    "fts5": "SQLite FTS5",
    "tantivy": "tantivy",
    "bm25s": "bm25s, numpy",
    "bm25s-numba": "bm25s, numba",
}
"""Names with what is shown."""

BUILT_BY = {"bm25s-numba": "bm25s"}

STORE = {"text": "store, text alone", "hybrid": "store, hybrid", "filtered": "store, hybrid, filter of 2 %"}

COLUMNS = (
    "system", "texts", "index s", "texts/s", "MB on disk", "first answer ms", "resident MB", "p50 ms", "p99 ms",
    "queries/s", "processor ms", "without p50 ms", "shared",
)  # fmt: skip


def variations(texts: list[str], *, rows: int) -> list[str]:
    """The first `rows` of the texts and then of their variations, by the recipe in the module's docstring."""
    if rows <= len(texts):
        return texts[:rows]
    split = [text.split() for text in texts]
    words = np.array([word for text in split for word in text], dtype=object)
    lengths = np.array([len(text) for text in split])
    starts = np.cumsum(lengths) - lengths
    found = list(texts)
    while len(found) < rows:
        random = np.random.default_rng([9, len(found)])
        many = min(CHUNK, rows - len(found))
        source, other = random.integers(len(texts), size=(2, many))
        long = lengths[source]
        ends = np.cumsum(long)
        text_of = np.repeat(np.arange(many), long)
        places = np.arange(ends[-1]) - (ends - long)[text_of] + starts[source][text_of]
        replaced = np.flatnonzero(random.random(len(places)) < REPLACED)
        theirs = other[text_of[replaced]]
        places[replaced] = starts[theirs] + (random.random(len(replaced)) * lengths[theirs]).astype(np.int64)
        drawn = words[places].tolist()
        base = len(found)
        for at, (end, count) in enumerate(zip(ends.tolist(), long.tolist(), strict=True), base):
            number = [str(at)] if at % NUMBERED == 0 else []
            found.append(" ".join(drawn[end - count : end] + number))
    return found


def line(
    shown: str, texts: int, built: dict[str, Any], asked: dict[str, Any], reference: list[list[int]] | None
) -> str:
    """One line of the table; how alike the answers are to those of `reference`, where that is of the same texts."""
    whole, short = asked["whole"], asked["short"]
    shared = [
        len(set(ours) & set(theirs)) / max(1, len(ours))
        for ours, theirs in zip(reference or [], whole["answers"], strict=False)
    ]
    cells = (
        f"{shown} {built['version']}",
        f"{texts:,}",
        f"{built['seconds']:.1f}",
        f"{texts / built['seconds']:,.0f}",
        f"{built['bytes'] / 1e6:.0f}",
        f"{1e3 * asked['opened']:.0f}",
        f"{asked['resident'] / 1e6:.0f}",
        f"{quantile(whole['latencies'], 0.5):.2f}",
        f"{quantile(whole['latencies'], 0.99):.2f}",
        f"{1e3 * len(whole['latencies']) / sum(whole['latencies']):,.0f}",
        f"{whole['processor']:.2f}",
        f"{quantile(short['latencies'], 0.5):.2f}",
        f"{np.mean(shared):.2f}" if shared else "",
    )
    return f"| {' | '.join(cells)} |"


def told(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="so many texts")
    parser.add_argument("--systems", nargs="+", choices=[*SYSTEMS, "store"], default=[*SYSTEMS, "store"])
    parser.add_argument("--peers-python", default=sys.executable, help="the interpreter that has the peers")
    parser.add_argument("--seconds", type=float, default=4.0, help="to ask a system for about so long")
    options = parser.parse_args()
    folder = real_folder()
    if folder is None:
        told("nothing is measured: the folder of real texts is absent (see RAGVEC_TEST_DATA)")
        return
    began = time.monotonic()
    real = _texts(folder)
    texts = variations(real, rows=options.rows)
    short = [" ".join(word for word in question.split() if word not in STOP_WORDS) for question in QUESTIONS]
    questions = {"questions": list(QUESTIONS), "short": short, "seconds": options.seconds}
    lines: list[str] = []
    with tempfile.TemporaryDirectory(prefix="ragvec-text-") as name:
        scratch = Path(name)
        given = scratch / "texts.txt"
        given.write_text("\n".join(texts), encoding="utf-8")
        told(f"{len(texts):,} texts, {given.stat().st_size / 1e6:.0f} MB ({time.monotonic() - began:.0f} s)")
        lines += _lists(options.systems, given, texts=len(texts), questions=questions, python=options.peers_python)
        if "store" in options.systems:
            given.write_text("\n".join(texts[: len(real)]), encoding="utf-8")
            lines += _store(folder, given, texts=min(len(texts), len(real)), questions=questions)
    print(f"| {' | '.join(COLUMNS)} |\n|---|{'---:|' * (len(COLUMNS) - 1)}")
    print("\n".join(lines))
    told(f"{time.monotonic() - began:.0f} s in all")


def _texts(folder: Path) -> list[str]:
    with (folder / "records.jsonl").open(encoding="utf-8") as records:
        return [" ".join(json.loads(record)["text"].split()) for record in records]


def _lists(systems: list[str], given: Path, *, texts: int, questions: dict[str, Any], python: str) -> list[str]:
    """A line for each system that answers."""
    lines: list[str] = []
    built: dict[str, dict[str, Any]] = {}
    reference: list[list[int]] | None = None
    for system in (name for name in SYSTEMS if name in systems):
        builder = BUILT_BY.get(system, system)
        folder = given.parent / builder
        options: dict[str, Any] = {"limit": LIMIT, "threads": 1, "sample": False}
        options["python"] = sys.executable if system == "ragvec" else python
        try:
            if builder not in built:
                folder.mkdir(exist_ok=True)  # two systems may be built by one, which is not there
                arguments = {"system": builder, "texts": str(given), "folder": str(folder)}
                built[builder] = in_child("benchmarks.text_peers:build", arguments, **options)
            arguments = {"system": system, "folder": str(folder), **questions}
            asked = in_child("benchmarks.text_peers:ask", arguments, **options)
        except Failed as failure:
            told(f"left out: {SYSTEMS[system]}: {failure}")
            continue
        reference = reference or asked["whole"]["answers"]
        lines.append(line(SYSTEMS[system], texts, built[builder], asked, reference))
        told(lines[-1])
    return lines


def _store(data: Path, given: Path, *, texts: int, questions: dict[str, Any]) -> list[str]:
    """A line for each way to ask a store."""
    folder = given.parent / "store"
    options: dict[str, Any] = {"limit": LIMIT, "threads": 1, "sample": False}
    arguments = {"data": str(data), "texts": str(given), "folder": str(folder)}
    built = in_child("benchmarks.text_ours:build_store", arguments, **options)
    asked = in_child(
        "benchmarks.text_ours:ask_store", {"data": str(data), "folder": str(folder), **questions}, **options
    )
    lines = [line(STORE[way], texts, built, asked[way], None) for way in STORE]
    told("\n".join(lines))
    return lines


if __name__ == "__main__":
    main()
