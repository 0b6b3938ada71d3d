"""What a process does with the text of an index, at the engine's seam: on request through a pipe, or in the test's own
process. Blocks of lists are so small that a few rows fill several."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ragvec.engine.local.engine import LocalEngine
from ragvec.engine.local.text_feed import TextFeeds
from ragvec.engine.protocol import IndexEngine, TextField, TextQuery
from ragvec.filters.nodes import EVERYTHING
from ragvec.filters.parse import parse_filter

__all__ = ["BUCKET", "INDEX", "Actor"]

BUCKET, INDEX = "bucket", "index"


class Actor:
    """A process with the store open."""

    def __init__(self, path: Path, *, block_rows: int) -> None:
        defaults: Any = TextFeeds.__init__
        defaults.__kwdefaults__["block_rows"] = block_rows
        self.path = path
        self.engine = LocalEngine(path, background=False)

    @property
    def index(self) -> IndexEngine:
        return self.engine.index(self.engine.catalog.index(BUCKET, INDEX))

    def run(self, action: dict[str, Any]) -> Any:
        kind = action.pop("do")
        found: Any = getattr(self, kind)(**action)
        return found

    def put(self, records: list[Any]) -> None:
        keys, vectors, metadata = ([record[part] for record in records] for part in range(3))
        blobs = [json.dumps(entry, ensure_ascii=False).encode() for entry in metadata]
        self.index.put(keys, np.array(vectors, np.float32), blobs)

    def delete(self, keys: list[str]) -> int:
        return self.index.delete(keys)

    def fields(self, fields: list[str]) -> None:
        uid = self.engine.catalog.index(BUCKET, INDEX).uid
        self.engine.catalog.change_text_fields(uid, lambda _: [TextField(key) for key in fields])

    def compact(self) -> None:
        self.index.compact()

    def persist(self) -> None:
        self.index.optimize()

    def reopen(self) -> None:
        self.engine.close()
        self.engine = LocalEngine(self.path, background=False)

    def rank(self, texts: list[Any], depth: int, where: dict[str, Any], vector: list[float]) -> Any:
        """The rankings, by key, and what `scores` says of all rows of all rankings."""
        index = self.index
        asked = [TextQuery(key, text, weight) for key, text, weight in texts]
        query = np.array(vector, np.float32)
        condition = parse_filter(where) if where else EVERYTHING
        ranked = index.rank(vector=query, texts=asked, depth=depth, where=condition)
        assert ranked.vector is not None
        rows = np.unique(np.concatenate([ranked.vector.rows, *(ranking.rows for ranking in ranked.texts)]))[::-1].copy()
        scores = index.scores(rows, ranked=ranked, vector=query, texts=asked)
        assert scores.distances is not None

        def keys(some: Any) -> list[str]:
            records = index.fetch(some, generation=ranked.generation, data=False, metadata=False)
            return [record.key for record in records if record is not None]

        return {
            "texts": [[keys(ranking.rows), ranking.scores.tolist()] for ranking in ranked.texts],
            "vector": [keys(ranked.vector.rows), ranked.vector.distances.tolist()],
            "scored": [keys(rows), [found.tolist() for found in scores.texts], scores.distances.tolist()],
        }

    def close(self) -> None:
        self.engine.close()


def main(path: Path, *, block_rows: int) -> None:
    """Carry out the actions that come in, until they end."""
    actor = Actor(path, block_rows=block_rows)
    for line in sys.stdin:
        print(json.dumps(actor.run(json.loads(line))), flush=True)
    actor.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), block_rows=int(sys.argv[2]))
