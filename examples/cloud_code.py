"""Code written for Amazon S3 Vectors, on a folder of this machine. Run: python examples/cloud_code.py.

`service` is a client of boto3 as well: `boto3.client("s3vectors")` in the cloud, `ragvec.connect(folder)` here.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import ragvec


def fill(service: Any) -> dict[str, str]:
    """Make a bucket and an index of three notes; the result names them."""
    at = {"vectorBucketName": "notes", "indexName": "pages"}
    service.create_vector_bucket(vectorBucketName="notes")
    service.create_index(**at, dataType="float32", dimension=2, distanceMetric="cosine")
    notes = {"lunch": [1.0, 0.0], "leave": [0.0, 1.0], "travel": [0.7, 0.7]}
    vectors = [{"key": key, "data": {"float32": data}, "metadata": {"words": len(key)}} for key, data in notes.items()]
    service.put_vectors(**at, vectors=vectors)
    return at


def main(folder: Path) -> None:
    """Print the two notes nearest to a direction, of those with more than five letters first."""
    service = ragvec.connect(folder)
    at = fill(service)
    query = {"queryVector": {"float32": [0.1, 1.0]}, "returnDistance": True}
    for condition in ({"words": {"$gt": 5}}, None):
        asked = query if condition is None else {**query, "filter": condition}
        answer = service.query_vectors(**at, topK=2, **asked)
        print([(hit["key"], round(hit["distance"], 3)) for hit in answer["vectors"]])
    service.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder) / "store")
