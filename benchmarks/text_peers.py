"""Full-text indexes as `benchmarks.text` builds and asks them, each in a process of its own.

Texts are lines of a file; an answer is the numbers of the best lines, best first. Only the standard library is imported
until a system is asked for, so the interpreter needs nothing but that system.
"""

from __future__ import annotations

import importlib.metadata
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from benchmarks.processes import memory

__all__ = ["K", "Asked", "ask", "build", "measured", "size", "texts_in"]

K = 10
K1, B = 1.2, 0.75
_COMMIT = 50_000
_MOST_PASSES = 20


class Asked(Protocol):
    """An opened index."""

    def best(self, question: str) -> list[int]:
        """The numbers of the ten best texts in which a word of the question occurs."""
        ...


class Fts5:
    """SQLite's own: the porter stemmer, without a copy of the texts."""

    def __init__(self, folder: Path) -> None:
        self._base = sqlite3.connect(folder / "fts.sqlite")

    @staticmethod
    def build(texts: Sequence[str], folder: Path) -> str:
        base = sqlite3.connect(folder / "fts.sqlite")
        base.execute("CREATE VIRTUAL TABLE texts USING fts5(body, content='', tokenize='porter unicode61')")
        for start in range(0, len(texts), _COMMIT):
            with base:
                base.executemany(
                    "INSERT INTO texts(rowid, body) VALUES (?, ?)", enumerate(texts[start : start + _COMMIT], start)
                )
        with base:
            base.execute("INSERT INTO texts(texts) VALUES ('optimize')")
        base.close()
        return sqlite3.sqlite_version

    def best(self, question: str) -> list[int]:
        sought = " OR ".join(f'"{word}"' for word in question.split())
        found = self._base.execute(
            f"SELECT rowid FROM texts WHERE texts MATCH ? ORDER BY rank LIMIT {K}", (sought,)
        ).fetchall()
        return [row for (row,) in found]

    def close(self) -> None:
        self._base.close()


class Tantivy:
    """Its English analyzer (stems, stop words kept), one writing thread."""

    def __init__(self, folder: Path) -> None:
        import tantivy

        self._index = tantivy.Index.open(str(folder))
        self._searcher = self._index.searcher()

    @staticmethod
    def build(texts: Sequence[str], folder: Path) -> str:
        import tantivy

        schema = tantivy.SchemaBuilder()
        schema.add_integer_field("row", stored=True)
        schema.add_text_field("body", tokenizer_name="en_stem", index_option="freq")
        index = tantivy.Index(schema.build(), path=str(folder))
        writer = index.writer(heap_size=256_000_000, num_threads=1)
        for row, text in enumerate(texts):
            writer.add_document(tantivy.Document(row=row, body=text))
        writer.commit()
        writer.wait_merging_threads()
        return importlib.metadata.version("tantivy")

    def best(self, question: str) -> list[int]:
        query = self._index.parse_query(question, ["body"])
        searcher = self._searcher
        return [searcher.doc(address)["row"][0] for _, address in searcher.search(query, K, count=False).hits]


class Bm25s:
    """In memory maps; stems by Snowball, stop words kept."""

    backend = "numpy"

    def __init__(self, folder: Path) -> None:
        import bm25s

        if self.backend == "numba":
            import numba  # noqa: F401  # so that its absence is told
        self._bm25s, self._stemmer = bm25s, _stemmer()
        self._index = bm25s.BM25.load(folder, mmap=True)
        if self.backend == "numba":
            self._index.backend = "numba"
            self._index.activate_numba_scorer()

    @staticmethod
    def build(texts: Sequence[str], folder: Path) -> str:
        import bm25s

        tokens = bm25s.tokenize(texts, stopwords=[], stemmer=_stemmer(), show_progress=False)
        index = bm25s.BM25(k1=K1, b=B)
        index.index(tokens, show_progress=False)
        index.save(folder, show_progress=False)
        return str(bm25s.__version__)

    def best(self, question: str) -> list[int]:
        tokens = self._bm25s.tokenize(
            [question], stopwords=[], stemmer=self._stemmer, return_ids=False, show_progress=False
        )
        rows, scores = self._index.retrieve(tokens, k=K, show_progress=False, backend_selection=self.backend)
        return [row for row, score in zip(rows[0].tolist(), scores[0].tolist(), strict=True) if score > 0]


class Bm25sNumba(Bm25s):
    """The same with its compiled scorer."""

    backend = "numba"


def _stemmer() -> Any:
    import snowballstemmer

    return snowballstemmer.stemmer("english")


def _system(name: str) -> Any:
    if name == "ragvec":
        from benchmarks.text_ours import Files

        return Files
    return {"fts5": Fts5, "tantivy": Tantivy, "bm25s": Bm25s, "bm25s-numba": Bm25sNumba}[name]


def texts_in(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n")


def size(folder: Path) -> int:
    """Bytes of all files in the folder and below."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def build(*, system: str, texts: str, folder: str) -> dict[str, Any]:
    """Index the texts in an empty folder: `version`, `seconds` of wall and of `processor` time, `bytes` on disk."""
    kind, lines = _system(system), texts_in(Path(texts))
    began, processor = time.perf_counter(), time.process_time()
    version = kind.build(lines, Path(folder))
    spent, used = time.perf_counter() - began, time.process_time() - processor
    return {"version": version, "seconds": spent, "processor": used, "bytes": size(Path(folder))}


def ask(*, system: str, folder: str, questions: list[str], short: list[str], seconds: float) -> dict[str, Any]:
    """Open what was built and ask it: `whole` and `short`, see `measured`, `opened` (seconds until the first answer)
    and `resident` bytes, above those before opening."""
    kind = _system(system)
    before = sum(memory().values())
    began = time.perf_counter()
    asked: Asked = kind(Path(folder))
    asked.best(questions[0])
    opened = time.perf_counter() - began
    whole = measured(asked.best, questions, seconds=seconds)
    resident = sum(memory().values()) - before
    return {
        "opened": opened,
        "whole": whole,
        "short": measured(asked.best, short, seconds=seconds),
        "resident": resident,
    }


def measured(best: Callable[[str], list[int]], questions: Sequence[str], *, seconds: float) -> dict[str, Any]:
    """Ask all questions again and again for about so long: their `answers`, the `latencies` in milliseconds, and
    `processor` milliseconds a question. The first pass warms up and counts only where there is no time for another."""
    answers: list[list[int]] = []
    passes = 0
    began = time.perf_counter()
    latencies: list[float] = []
    processor = time.process_time()
    while passes <= _MOST_PASSES and (not passes or time.perf_counter() - began < seconds):
        if passes == 1:
            latencies, processor = [], time.process_time()
        for question in questions:
            start = time.perf_counter()
            found = best(question)
            latencies.append(1e3 * (time.perf_counter() - start))
            if not passes:
                answers.append(found)
        passes += 1
    used = 1e3 * (time.process_time() - processor) / len(latencies)
    return {"answers": answers, "latencies": latencies, "processor": used}
