"""What the oracle tests do to a store, as data, so that the same action runs in this process or in another.

Run as a script it is that other process: it reads actions as JSON lines and answers each with one JSON line.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import ragvec

BUCKET, INDEX = "oracle", "index"


def run(store: ragvec.Store, action: dict[str, Any]) -> Any:
    """Carry out one action and return its JSON result."""
    index = store.bucket(BUCKET).index(INDEX)
    client = store.client()
    target = {"vectorBucketName": BUCKET, "indexName": INDEX}
    kind = action["do"]
    if kind == "put":
        index.put(action["keys"], action["vectors"], action["metadata"])
        return None
    if kind == "delete":
        return index.delete(action["keys"])
    if kind == "delete_where":
        return index.delete(where=action["where"])
    if kind == "compact":
        index.compact()
        return None
    if kind == "count":
        return index.count(action["where"])
    if kind == "get":
        found = index.get(action["keys"])
        return [[record.key, record.data.tolist(), record.metadata] for record in found]
    if kind == "query":
        hits = index.query(action["vector"], k=action["k"], where=action["where"])
        return [[hit.key, hit.distance, hit.metadata] for hit in hits]
    if kind == "list":
        page = client.list_vectors(**target, returnMetadata=True, **action["options"])
        return {"vectors": [[v["key"], v["metadata"]] for v in page["vectors"]], "nextToken": page.get("nextToken")}
    if kind == "page":
        page = client.query_vectors(
            **target,
            queryVector={"float32": action["vector"]},
            topK=action["k"],
            filter=action["where"],
            returnDistance=True,
            returnMetadata=True,
            **action["options"],
        )
        vectors = [[v["key"], v["distance"], v["metadata"]] for v in page["vectors"]]
        return {"vectors": vectors, "nextToken": page.get("nextToken")}
    raise ValueError(f"unknown action {kind!r}")


def main(path: str) -> None:
    store = ragvec.Store(Path(path))
    for line in sys.stdin:
        print(json.dumps(run(store, json.loads(line))), flush=True)
    store.close()


if __name__ == "__main__":
    main(sys.argv[1])
