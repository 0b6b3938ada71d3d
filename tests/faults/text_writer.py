"""A process that writes texts into an index and searches for them, until it is killed or has done what was asked.

`python text_writer.py <store> <name> <rounds> <told>`: with every text that is acknowledged a line goes to the file
`told`, and everything that any process has told before is searched for. What is not found is printed.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ragvec.engine.local.engine import LocalEngine
from ragvec.engine.local.text_feed import TextFeeds
from ragvec.engine.protocol import IndexEngine, TextField, TextQuery

__all__ = ["small", "told_in", "unfound"]

BLOCK = 8


def small() -> None:
    """Let few rows fill a block, in this process."""
    defaults: Any = TextFeeds.__init__
    defaults.__kwdefaults__["block_rows"] = BLOCK


def told_in(path: Path) -> list[str]:
    """The whole lines of a file."""
    return path.read_text().split("\n")[:-1] if path.exists() else []


def unfound(index: IndexEngine, keys: list[str], *, field: str) -> list[str]:
    """Those of the keys whose record is not found by its key as a word, as the only one."""
    missing = []
    queries = [TextQuery(field, key) for key in keys]
    for start in range(0, len(queries), 50):
        some = queries[start : start + 50]
        ranked = index.rank(vector=None, texts=some, depth=3)
        for query, ranking in zip(some, ranked.texts, strict=True):
            found = index.fetch(ranking.rows, generation=ranked.generation, data=False, metadata=False)
            if [record.key for record in found if record is not None] != [query.text]:
                missing.append(query.text)
    return missing


def main(store: Path, name: str, rounds: int, told: Path) -> None:
    """Write, search, persist, compact, and change fields now and then."""
    small()
    draw = random.Random(f"{name} {rounds}")
    with LocalEngine(store, background=draw.random() < 0.5) as engine:
        spec = engine.catalog.index("bucket", "index")
        index = engine.index(spec)
        own = 0
        for number in range(rounds):
            keys = [f"{name}x{number}x{n}" for n in range(draw.randint(1, 6))]
            texts = [f'{{"t": "{key} fish", "u": "{key} bird"}}'.encode() for key in keys]
            index.put(keys, np.ones((len(keys), 2), np.float32), texts)
            own += len(keys)
            with told.open("a") as out:
                out.write("".join(f"{key}\n" for key in keys))
            for key in unfound(index, draw.sample(told_in(told), min(20, own)), field="t"):
                print(key, flush=True)
            what = draw.random()
            if what < 0.2:
                index.optimize()
            elif what < 0.3:
                index.put(keys, np.ones((len(keys), 2), np.float32), texts)
            elif what < 0.35:
                index.compact()
            elif what < 0.45:
                fields = [TextField("t"), TextField("u")][: draw.randint(1, 2)]
                engine.catalog.change_text_fields(spec.uid, partial(keep, fields))


def keep(fields: list[TextField], _: Sequence[TextField]) -> list[TextField]:
    return fields


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
    os._exit(0)
