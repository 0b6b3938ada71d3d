"""Every format that was ever released opens, reads as it did, and takes new writes."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

import ragvec

GOLDEN = sorted(Path(__file__).parent.glob("store-*.zip"))


def test_there_is_a_golden_store_of_the_present_format() -> None:
    from ragvec.engine.local.layout import FORMAT

    assert f"store-{FORMAT}.zip" in {path.name for path in GOLDEN}


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
@pytest.mark.parametrize("read_only", [True, False])
def test_a_golden_store_reads_as_it_did(path: Path, tmp_path: Path, *, read_only: bool) -> None:
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path)
    with ragvec.Store(tmp_path / "store", read_only=read_only) as store:
        (bucket,) = store.buckets()
        assert [index.name for index in bucket.indexes()] == ["empty", "plain"]
        plain = bucket.index("plain")
        assert (plain.dimension, plain.metric, plain.non_filterable) == (3, "euclidean", ("text",))
        assert [(r.key, r.data.tolist(), r.metadata) for r in plain.iter(data=True) if r.data is not None] == [
            ("b", [0, 5, 0], {"tags": ["z"], "n": 0.5}),
            ("ключ", [0, 0, 3], {"n": 2**53 + 1, "名": "é"}),
            ("\U0001f600", [1, 1, 1], {}),
        ]
        assert plain.query([0, 0, 0], k=2, where={"n": {"$gte": 0.5}}).keys == ["ключ", "b"]
        assert plain.count({"n": 2**53}) == 0
        assert plain.property("embedder") == {"name": "made by hand", "dimension": 3}
        assert plain.stats().tombstones == 2
        client = store.client()
        assert "Deny" in client.get_vector_bucket_policy(vectorBucketName="golden")["policy"]
        arn = client.get_vector_bucket(vectorBucketName="golden")["vectorBucket"]["vectorBucketArn"]
        assert client.list_tags_for_resource(resourceArn=arn)["tags"] == {"kind": "golden"}
        if not read_only:
            plain.put(["new"], [[9, 9, 9]], [{"n": 3}])
            assert plain.count({"n": 3}) == 1
