"""Makes the golden store of the present format: `python tests/format/golden.py` writes tests/format/store-<format>.zip.

A golden store is made once for each released format and then never again: later versions must go on opening it. What
is in it follows from the code below, but for what is random or a time by its nature: the uids, the store's id and its
key, the times of creation, the seconds that builds took, and the trees that ScaNN and faiss trained.
"""

from __future__ import annotations

import sys
import tempfile
import zipfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

import ragvec
from ragvec.engine.local import segments
from ragvec.engine.local.compact import build_segment
from ragvec.engine.local.engine import LocalEngine
from ragvec.engine.local.layout import FORMAT
from ragvec.engine.local.posting_feed import PostingFeed
from ragvec.engine.local.text_feed import TextFeeds
from ragvec.engine.protocol import IndexEngine

HERE = Path(__file__).parent
ROWS = 1060
DIMENSION = 8
BLOCK_ROWS = 512
FAR = 4e9
"""When the kept result lists expire: they are in the store for good."""

POLICY = '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}]}'


def vectors() -> np.ndarray[Any, np.dtype[np.float32]]:
    """ROWS vectors on a coarse grid, none of them zero: a small archive, and many ties."""
    grid = np.random.default_rng(7).integers(-4, 5, size=(ROWS, DIMENSION)).astype(np.float32) / 4
    grid[:, 0] += 2
    return grid


def metadata(n: int) -> dict[str, Any]:
    """Every kind of value that metadata may have."""
    found: dict[str, Any] = {"n": n / 2, "even": n % 2 == 0, "word": f"wörd{n % 7}", "text": f"row {n}"}
    if n % 5 == 0:
        found["list"] = [f"a{n % 3}", "ключ"]
    if n % 9 == 0:
        found["numbers"] = [n, 0.5]
    if n % 100 == 0:
        found["large"] = 2**53 + n + 1
    return found


def make(folder: Path) -> None:
    """A store with a little of everything that the format can hold."""
    _fill(folder)
    with ExitStack() as small:
        # As if the index were large: posting lists in files, trees, and leaves for filters.
        small.enter_context(patch.dict(PostingFeed.__init__.__kwdefaults__, block_rows=BLOCK_ROWS))
        small.enter_context(patch.dict(TextFeeds.__init__.__kwdefaults__, block_rows=BLOCK_ROWS))
        small.enter_context(patch.object(segments, "LEAVES_MIN_ROWS", 1024))
        _fill_large(folder, name="by-scann", backend="scann")
        _fill_large(folder, name="by-faiss", backend="faiss")


def _fill(folder: Path) -> None:
    with ragvec.Store(folder) as store:
        bucket = store.create_bucket("golden")
        plain = bucket.create_index("plain", dimension=3, metric="euclidean", non_filterable=["text"])
        plain.put(
            ["a", "b", "ключ", "\U0001f600"],
            [[1, 0, 0], [0, 2, 0], [0, 0, 3], [1, 1, 1]],
            [{"n": 1, "text": "one"}, {"tags": ["x", "y"], "ok": True}, {"n": 2**53 + 1, "名": "é"}, None],
        )
        plain.put(["b"], [[0, 5, 0]], [{"tags": ["z"], "n": 0.5}])
        plain.delete(["a"])
        plain.set_property("embedder", {"name": "made by hand", "dimension": 3})
        bucket.create_index("empty", dimension=2)
        client = store.client()
        client.put_vector_bucket_policy(vectorBucketName="golden", policy=POLICY)
        arn = client.get_vector_bucket(vectorBucketName="golden")["vectorBucket"]["vectorBucketArn"]
        client.tag_resource(resourceArn=arn, tags={"kind": "golden"})


def _fill_large(folder: Path, *, name: str, backend: str) -> None:
    """An index with derived files, deleted rows and a kept result list; the one by ScaNN of two generations."""
    with LocalEngine(folder, background=False, backend=backend) as engine:
        store = ragvec.Store(engine=engine)
        made = store.bucket("golden").create_index(
            name, dimension=DIMENSION, non_filterable=["text"], text={"text": "en"}
        )
        index = engine.index(made.spec)
        made.put([f"k{n:04d}" for n in range(ROWS)], vectors(), [metadata(n) for n in range(ROWS)])
        if backend == "scann":
            made.delete([f"k{n:04d}" for n in range(0, ROWS, 50)])
            _keep_ranking(index)
            index.compact()
        snapshot = index.snapshot()
        snapshot.generation.postings_view(snapshot.rows)
        snapshot.generation.text.persist(snapshot.rows)
        build_segment(snapshot.generation, 0, snapshot.rows, lane="tail")
        made.put(["k0001", "new"], np.ones((2, DIMENSION), np.float32), [{"n": -1}, None])
        made.delete(["k0002"])
        _keep_ranking(index)


def _keep_ranking(index: IndexEngine) -> None:
    (ranking,) = index.search(np.ones((1, DIMENSION), np.float32), k=5)
    index.save_ranking(ranking, request=b"golden", ttl=FAR)


def main() -> int:
    target = HERE / f"store-{FORMAT}.zip"
    if target.exists():
        print(f"{target} exists: a golden store is made once", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder) / "store")
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for path in sorted(Path(folder).rglob("*")):
                if path.is_file() and path.suffix != ".mark" and path.name != "reserve":
                    archive.write(path, path.relative_to(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
