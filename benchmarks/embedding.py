"""Embedding throughput of all-MiniLM-L6-v2 beside `SentenceTransformer.encode`, with the nearness of the vectors.

    python -m benchmarks.embedding                 20,000 WordNet glosses, 3,000 SciFact abstracts, nDCG@10 on SciFact
    python -m benchmarks.embedding --share 0.1     a tenth of both, and no nDCG@10

Both embed the same texts in one process, block by block in turn, so that whatever else the machine does meets both:
`encode` with its defaults (batches of 32 over all texts of a block, as many threads as torch takes), and
`MiniLMEmbedder.embed_documents` as the pipeline calls it, 256 texts at a time. Loading the models is not in the times.
Cosines are to the vectors of `encode`. nDCG@10 is by exact search over all 5,183 abstracts for the 300 test queries.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.records import CHECKOUT
from ragvec.pipeline.embed import embed_texts
from ragvec.pipeline.embedders import MiniLMEmbedder

__all__ = ["glosses", "main", "ndcg", "scifact"]

GLOSSES = 20_000
ABSTRACTS = 3_000
BLOCK = 1_000


def data_folder() -> Path:
    """The folder of test data: RAGVEC_TEST_DATA, else ../shared/data."""
    return Path(os.environ.get("RAGVEC_TEST_DATA") or CHECKOUT.parent / "shared" / "data")


def glosses(count: int) -> list[str]:
    """Texts of WordNet synsets, spread evenly over all of them."""
    with (data_folder() / "wordnet-minilm" / "records.jsonl").open(encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    return [texts[row] for row in np.linspace(0, len(texts) - 1, count).astype(int)]


def scifact() -> tuple[list[str], list[str], list[str], list[str], dict[str, dict[str, int]]]:
    """Ids and texts of SciFact's abstracts, ids and texts of its test queries, and their judgements."""
    folder = data_folder() / "scifact"

    def read(name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").splitlines()]

    judged: dict[str, dict[str, int]] = {}
    for line in (folder / "qrels" / "test.tsv").read_text().splitlines()[1:]:
        query, document, grade = line.split("\t")
        judged.setdefault(query, {})[document] = int(grade)
    corpus, queries = read("corpus.jsonl"), [query for query in read("queries.jsonl") if query["_id"] in judged]
    return (
        [entry["_id"] for entry in corpus],
        [f"{entry['title']}\n{entry['text']}" for entry in corpus],
        [query["_id"] for query in queries],
        [query["text"] for query in queries],
        judged,
    )


def ndcg(
    documents: np.ndarray, queries: np.ndarray, ids: list[str], query_ids: list[str], judged: dict[str, dict[str, int]]
) -> float:
    """Mean nDCG@10 of exact search by cosine."""
    scores = queries @ documents.T
    total = 0.0
    for row, query in enumerate(query_ids):
        best = np.argsort(-scores[row], kind="stable")[:10]
        gains = [judged[query].get(ids[at], 0) for at in best]
        ideal = sorted(judged[query].values(), reverse=True)[:10]
        total += sum(gain / math.log2(rank + 2) for rank, gain in enumerate(gains)) / sum(
            gain / math.log2(rank + 2) for rank, gain in enumerate(ideal)
        )
    return total / len(query_ids)


class Contest:
    """Both embedders, and the seconds that each took."""

    def __init__(self, precision: str) -> None:
        from sentence_transformers import SentenceTransformer

        self.ours = MiniLMEmbedder(precision=precision)
        self.plain = SentenceTransformer(str(self.ours.folder), local_files_only=True)
        warm = ["a first text"] * 40
        self.plain.encode(warm)
        self.ours.embed_documents(warm)
        self.seconds = {"encode": 0.0, "ragvec": 0.0}
        self._turn = 0

    def run(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """The vectors of `encode` and of ragvec, of length 1, block by block in turn."""
        parts: dict[str, list[np.ndarray]] = {"encode": [], "ragvec": []}
        ways: dict[str, Callable[[list[str]], Any]] = {
            "encode": lambda block: self.plain.encode(block, show_progress_bar=False),
            "ragvec": lambda block: embed_texts(block, self.ours),
        }
        for at in range(0, len(texts), BLOCK):
            self._turn += 1
            for name in sorted(ways, reverse=bool(self._turn % 2)):
                began = time.perf_counter()
                parts[name].append(np.asarray(ways[name](texts[at : at + BLOCK])))
                self.seconds[name] += time.perf_counter() - began
        one, other = (np.concatenate(parts[name]) for name in ("encode", "ragvec"))
        return one / np.linalg.norm(one, axis=1, keepdims=True), other


def tell(name: str, texts: list[str], contest: Contest, before: dict[str, float], cosines: np.ndarray) -> None:
    spent = {way: contest.seconds[way] - before[way] for way in before}
    print(
        f"{name:<34} encode {len(texts) / spent['encode']:8.1f} texts/s   ragvec {len(texts) / spent['ragvec']:8.1f}   "
        f"{spent['encode'] / spent['ragvec']:5.2f} x   cosine mean {cosines.mean():.5f} least {cosines.min():.5f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=1.0, help="of the texts (default: all)")
    parser.add_argument("--precision", default="auto", help="of ragvec's embedder (default: auto)")
    arguments = parser.parse_args()
    import torch

    contest = Contest(arguments.precision)
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} processors, torch {torch.__version__} with "
        f"{torch.get_num_threads()} threads, precision {contest.ours.cache_name.partition('|')[2]}"
    )
    ids, abstracts, query_ids, queries, judged = scifact()
    count = max(1, int(ABSTRACTS * arguments.share))
    whole = arguments.share >= 1
    names = {
        f"{int(GLOSSES * arguments.share):,} WordNet glosses": glosses(int(GLOSSES * arguments.share)),
        f"{count:,} SciFact abstracts": abstracts[:count],
    }
    vectors: list[tuple[np.ndarray, np.ndarray]] = []
    for name, texts in names.items():
        before = dict(contest.seconds)
        vectors.append(contest.run(texts))
        one, other = vectors[-1]
        tell(name, texts, contest, before, (one * other).sum(axis=1))
    everything = [text for texts in names.values() for text in texts]
    one, other = (np.concatenate([pair[side] for pair in vectors]) for side in (0, 1))
    tell("both together", everything, contest, {"encode": 0.0, "ragvec": 0.0}, (one * other).sum(axis=1))
    if whole:
        rest = contest.run(abstracts[count:])
        asked = contest.plain.encode(queries, normalize_embeddings=True, show_progress_bar=False)
        ours = np.stack([contest.ours.embed_query(query) for query in queries])
        for side, query_vectors, name in ((0, asked, "encode"), (1, ours, "ragvec")):
            documents = np.concatenate([vectors[1][side], rest[side]])
            print(f"nDCG@10 on SciFact, {name}: {ndcg(documents, query_vectors, ids, query_ids, judged):.4f}")


if __name__ == "__main__":
    main()
