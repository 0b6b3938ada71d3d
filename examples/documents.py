"""A folder of documents to answers: ingest, search, and see where a passage is from.

Run: python examples/documents.py FOLDER [QUESTION]. The embedder here needs no model; without `embedder=` it is
all-MiniLM-L6-v2.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import ragvec
from ragvec.pipeline import HashingEmbedder, lineage_of


def ingest(store: ragvec.Store, documents: Path) -> ragvec.Index:
    """An index of the documents below a folder."""
    index = store.create_bucket("library").index("documents")
    report = ragvec.Pipeline(index=index, embedder=HashingEmbedder(256)).run(documents)
    print(f"{report.documents} documents")
    return index


def main(documents: Path, question: str) -> None:
    """Print the best documents for a question, and where the passage that has most of its words is from."""
    with tempfile.TemporaryDirectory() as folder, ragvec.Store(Path(folder) / "store") as store:
        index = ingest(store, documents)
        found = ragvec.QueryIndex(index).search(question, page_size=3)
        for hit in found:
            print(f"{hit.confidence:<9} {hit.document_id:<30} {hit.title}")
        for passage in index.query(text=question, k=1, metadata=True):
            source = lineage_of(passage)
            print(f"{source.document_id}, characters {source.begin} to {source.end}: {source.text[:60]!r}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]), " ".join(sys.argv[2:]) or "What is this about?")
