"""Makes the golden store of the present format: `python tests/format/golden.py` writes tests/format/store-<format>.zip.

A golden store is made once for each released format and then never again: later versions must go on opening it.
"""

from __future__ import annotations

import sys
import tempfile
import zipfile
from pathlib import Path

import ragvec
from ragvec.engine.local.layout import FORMAT

HERE = Path(__file__).parent


def make(folder: Path) -> None:
    """A store with a little of everything that the format can hold."""
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
        client.put_vector_bucket_policy(
            vectorBucketName="golden",
            policy='{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}]}',
        )
        arn = client.get_vector_bucket(vectorBucketName="golden")["vectorBucket"]["vectorBucketArn"]
        client.tag_resource(resourceArn=arn, tags={"kind": "golden"})


def main() -> int:
    target = HERE / f"store-{FORMAT}.zip"
    if target.exists():
        print(f"{target} exists: a golden store is made once", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder) / "store")
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(Path(folder).rglob("*")):
                if path.is_file():
                    archive.write(path, path.relative_to(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
