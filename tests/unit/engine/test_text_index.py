"""Text search in a local index: what is found at once, what is written when, and what damage and other versions do."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragvec.care import backup, repair, restore, verify
from ragvec.engine.local import text_feed
from ragvec.engine.local.engine import LocalEngine
from ragvec.engine.local.index import LocalIndex
from ragvec.engine.local.text_feed import TextFeeds, folder_name, terms_of
from ragvec.engine.local.text_search import rank
from ragvec.engine.protocol import BucketInfo, IndexSpec, TextField, TextQuery
from ragvec.errors import IndexNotFound, InvalidRequest
from ragvec.filters.nodes import EVERYTHING
from ragvec.filters.parse import parse_filter
from ragvec.text.analyzers import analyzer

BLOCK = 8
SPEC = IndexSpec("a" * 32, "bucket", "index", 2, "euclidean", 0.0, non_filterable=("body",))
WORDS = ("red", "green", "blue", "fish", "bird")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults: Any = TextFeeds.__init__
    monkeypatch.setitem(defaults.__kwdefaults__, "block_rows", BLOCK)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[LocalEngine]:
    with made(tmp_path / "store") as opened:
        yield opened


def made(path: Path, *, fields: tuple[TextField, ...] = (TextField("body"),)) -> LocalEngine:
    opened = LocalEngine(path, background=False)
    opened.catalog.create_bucket(BucketInfo("bucket", 0.0), tags={}, max_buckets=None)
    opened.catalog.create_index(SPEC, tags={}, max_indexes=None, text=fields)
    return opened


def put(index: LocalIndex, texts: dict[str, Any], *, key: str = "body", **more: Any) -> None:
    blobs = [json.dumps({key: text, **more}).encode() for text in texts.values()]
    index.put(list(texts), np.ones((len(texts), 2), np.float32), blobs)


def fill(index: LocalIndex, count: int) -> None:
    put(index, {f"k{n:03}": f"{WORDS[n % 5]} {WORDS[n % 3]} w{n}" for n in range(count)})


def found(index: LocalIndex, text: str, *, key: str = "body", depth: int = 100, **options: Any) -> list[str]:
    ranked = index.rank(vector=None, texts=[TextQuery(key, text)], depth=depth, **options)
    records = index.fetch(ranked.texts[0].rows, generation=ranked.generation, data=False, metadata=False)
    return [record.key for record in records if record is not None]


def files(engine: LocalEngine, key: str = "body") -> list[str]:
    folder = engine.index(SPEC).snapshot().generation.folder.text
    own = folder / folder_name(key, analyzer(None).name)
    return sorted(path.name for path in own.iterdir()) if own.is_dir() else []


def counted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The texts of each row that are made into terms from now on."""
    read: list[Any] = []

    def terms(texts: Any, by: Any) -> list[str]:
        read.append(texts)
        return terms_of(texts, by)

    monkeypatch.setattr(text_feed, "terms_of", terms)
    return read


def test_a_text_is_found_as_soon_as_it_is_put_and_gone_as_soon_as_it_is_replaced(engine: LocalEngine) -> None:
    index = engine.index(SPEC)
    put(index, {"a": "red fish", "b": "blue bird"})
    assert found(index, "Fish") == ["a"]
    put(index, {"a": "green bird"})
    assert found(index, "fish") == []
    assert found(index, "bird") == ["a", "b"]
    index.delete(["a"])
    assert found(index, "bird green") == ["b"]


def test_strings_and_lists_of_strings_are_text_and_nothing_else_is(engine: LocalEngine) -> None:
    index = engine.index(SPEC)
    put(index, {"s": "one fish", "l": ["two", "red fish"], "n": 7, "b": True, "e": "", "m": []})
    index.put(["none"], np.ones((1, 2), np.float32), [None])
    assert found(index, "fish two") == ["l", "s"]
    assert found(index, "7 true") == []


def test_any_key_may_be_a_field(engine: LocalEngine) -> None:
    index = engine.index(SPEC)
    odd = ["../up", 'quo"te\\', "", "con", "ключ", "a" * 63, "new\nline"]
    engine.catalog.change_text_fields(SPEC.uid, lambda _: [TextField(key) for key in odd])
    for number, key in enumerate(odd):
        put(index, {f"k{number}": f"red w{number}"}, key=key)
    for number, key in enumerate(odd):
        assert found(index, f"w{number} red", key=key) == [f"k{number}"]
    put(index, {f"more{n}": "blue" for n in range(BLOCK)})
    index.optimize()
    written = list(engine.path.parent.rglob("*.text"))
    assert len(written) == len(odd)
    assert {path.parent.parent for path in written} == {index.snapshot().generation.folder.text}


def test_a_key_that_is_no_field_is_refused_by_name(engine: LocalEngine) -> None:
    index = engine.index(SPEC)
    with pytest.raises(InvalidRequest, match=r"Expected a text field of the index \(`body`\), got `title`"):
        found(index, "fish", key="title")


def test_rankings_of_text_and_vector_are_of_the_rows_that_match(engine: LocalEngine) -> None:
    index = engine.index(SPEC)
    for year in range(3):
        put(index, {f"{year}-{n}": f"fish {'red ' * n}" for n in range(30)}, year=year)
    where = parse_filter({"year": 1})
    vector = np.ones(2, np.float32)
    ranked = index.rank(
        vector=vector, texts=[TextQuery("body", "red"), TextQuery("body", "fish")], depth=7, where=where
    )
    assert ranked.vector is not None
    for rows in (ranked.vector.rows, *(ranking.rows for ranking in ranked.texts)):
        records = index.fetch(rows, generation=ranked.generation, data=False, metadata=False)
        assert [record.key[:2] for record in records if record is not None] == ["1-"] * 7
    assert found(index, "red", where=parse_filter({"year": 9})) == []


def test_weights_multiply_scores_and_a_repeated_word_counts_once(engine: LocalEngine) -> None:
    index = engine.index(SPEC)
    fill(index, 20)
    queries = [TextQuery("body", "fish"), TextQuery("body", "fish", 2.5), TextQuery("body", "fish fish")]
    once, weighted, twice = index.rank(vector=None, texts=queries, depth=5).texts
    np.testing.assert_allclose(weighted.scores, 2.5 * once.scores, rtol=1e-6)
    np.testing.assert_array_equal(twice.scores, once.scores)


def test_scores_are_those_of_the_ranking_also_after_later_changes(engine: LocalEngine) -> None:
    index = engine.index(SPEC)
    fill(index, 40)
    vector, queries = np.array([3, 4], np.float32), [TextQuery("body", "red fish"), TextQuery("body", "w3")]
    ranked = index.rank(vector=vector, texts=queries, depth=5)
    put(index, {f"late{n}": "red red red" for n in range(30)})
    rows = ranked.texts[0].rows[::-1]
    scores = index.scores(rows, ranked=ranked, vector=vector, texts=queries)
    assert scores.texts[0].tolist() == ranked.texts[0].scores[::-1].tolist()
    assert np.count_nonzero(scores.texts[1]) == np.count_nonzero(np.isin(rows, ranked.texts[1].rows))
    assert scores.distances is not None
    np.testing.assert_allclose(scores.distances, np.full(5, 13**0.5), rtol=1e-6)
    assert index.scores(rows[:0], ranked=ranked, vector=vector, texts=queries).texts[0].shape == (0,)


def test_full_blocks_are_written_and_the_next_process_reads_no_text_of_theirs(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = engine.index(SPEC)
    fill(index, 3 * BLOCK + 2)
    before = found(index, "red fish")
    index.optimize()
    assert files(engine) == [f"{n * BLOCK:012d}-{(n + 1) * BLOCK:012d}.text" for n in range(3)]
    with LocalEngine(engine.path, background=False) as other:
        read = counted(monkeypatch)
        assert found(other.index(SPEC), "red fish") == before
        assert len(read) == 2


def test_runs_merge_as_they_grow(engine: LocalEngine) -> None:
    index = engine.index(SPEC)
    fill(index, 5 * BLOCK)
    index.optimize()
    assert files(engine) == [f"{0:012d}-{4 * BLOCK:012d}.text", f"{4 * BLOCK:012d}-{5 * BLOCK:012d}.text"]


def test_a_field_that_is_added_is_building_until_its_lists_are_there_and_right_all_the_while(
    engine: LocalEngine,
) -> None:
    index = engine.index(SPEC)
    put(index, {f"k{n:03}": f"w{n % 7} fish" for n in range(10 * BLOCK)}, title="late fish")
    engine.catalog.change_text_fields(SPEC.uid, lambda fields: [*fields, TextField("title", "en")])
    assert index.text_status() == {"body": "BUILDING", "title": "BUILDING"}
    assert len(found(index, "fishes", key="title")) == 10 * BLOCK
    index.optimize()
    with LocalEngine(engine.path, background=False) as other:
        assert other.index(SPEC).text_status() == {"body": "ACTIVE", "title": "ACTIVE"}
    stats = {field.key: field for field in index.stats().text}
    assert (stats["title"].documents, stats["title"].tokens, stats["title"].language) == (80, 160, "en")
    assert stats["title"].rows == 10 * BLOCK
    assert stats["title"].bytes > 0
    assert "80 texts, 160 words" in index.stats()._repr_html_()


def test_the_background_builds_what_a_change_of_fields_asks_for_and_removes_what_it_leaves(tmp_path: Path) -> None:
    made(tmp_path / "store").close()
    with LocalEngine(tmp_path / "store") as engine:
        index = engine.index(SPEC)
        put(index, {f"k{n:03}": "red" for n in range(4 * BLOCK)}, title="blue")
        engine.settle()
        assert files(engine) == [f"{0:012d}-{4 * BLOCK:012d}.text"]
        engine.catalog.change_text_fields(SPEC.uid, lambda _: [TextField("title")])
        engine.settle()
        assert files(engine) == []
        assert files(engine, "title") == [f"{0:012d}-{4 * BLOCK:012d}.text"]
        assert len(list(index.snapshot().generation.folder.text.iterdir())) == 1


def test_lists_of_another_version_of_an_analyzer_are_left_for_a_while_and_never_used(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = engine.index(SPEC)
    fill(index, 4 * BLOCK)
    index.optimize()
    folder = index.snapshot().generation.folder.text

    class Newer:
        name = "another:2"

        def tokens(self, text: str) -> list[str]:
            return [word[::-1] for word in text.split()]

        def query(self, text: str) -> dict[str, float]:
            return dict.fromkeys(self.tokens(text), 1.0)

    monkeypatch.setattr(text_feed, "analyzer", lambda _: Newer())
    with LocalEngine(engine.path, background=False) as other:
        newer = other.index(SPEC)
        assert found(newer, "hsif") == []
        assert len(found(newer, "fish")) == sum("fish" in WORDS[n % 5] + WORDS[n % 3] for n in range(4 * BLOCK))
        newer.optimize()
        assert len(list(folder.iterdir())) == 2
        for path in [folder, *folder.rglob("*")]:
            os.utime(path, (0, 0))
        newer.optimize()
        assert [path.name for path in folder.iterdir()] == [folder_name("body", "another:2")]
    assert len(found(index, "fish")) > 0


@pytest.mark.parametrize("place", [20, 200, -60])
def test_damaged_files_are_made_anew_and_answers_stay_right(
    engine: LocalEngine, caplog: pytest.LogCaptureFixture, place: int
) -> None:
    index = engine.index(SPEC)
    fill(index, 4 * BLOCK)
    index.optimize()
    before = found(index, "red fish w3")
    damage(index, place)
    with LocalEngine(engine.path, background=False) as other, caplog.at_level(logging.WARNING, "ragvec"):
        assert found(other.index(SPEC), "red fish w3") == before
        assert "will be rebuilt from the records" in caplog.text
        other.index(SPEC).optimize()
    assert not verify(engine.path, deep=True).problems


def damage(index: LocalIndex, place: int) -> Path:
    (path,) = index.snapshot().generation.folder.text.rglob("*.text")
    data = bytearray(path.read_bytes())
    data[place] ^= 0x55
    path.unlink()  # others have it mapped
    path.write_bytes(data)
    return path


def test_verify_names_damaged_lists_and_repair_has_them_made_again(engine: LocalEngine) -> None:
    index = engine.index(SPEC)
    fill(index, 4 * BLOCK)
    index.optimize()
    before = found(index, "red fish w3")
    assert not verify(engine.path, deep=True).problems
    path = damage(index, 60)
    engine.close()
    (problem,) = verify(engine.path, deep=True).problems
    assert (problem.severity, problem.file) == ("derived", path.relative_to(engine.path).as_posix())
    repair(engine.path)
    assert not verify(engine.path, deep=True).problems
    with LocalEngine(engine.path, background=False) as again:
        assert found(again.index(SPEC), "red fish w3") == before


def test_deep_verify_compares_lists_with_texts(engine: LocalEngine) -> None:
    index = engine.index(SPEC)
    fill(index, 2 * BLOCK)
    feed = index.snapshot().generation.text.of("body")
    store = feed._store
    store.extend(0, [["lie"]] * (2 * BLOCK))
    store.seal()
    assert not verify(engine.path).problems
    problems = verify(engine.path, deep=True).problems
    assert ["it says other than the texts of the records" in problem.what for problem in problems] == [True, True]


def test_lists_of_other_rows_are_not_used(engine: LocalEngine, tmp_path: Path) -> None:
    index = engine.index(SPEC)
    fill(index, 2 * BLOCK)
    index.optimize()
    with made(tmp_path / "other") as other:
        strange = other.index(SPEC)
        put(strange, {f"x{n}": "blue whale" for n in range(2 * BLOCK)})
        ours = index.snapshot().generation.folder.text
        ours.rename(strange.snapshot().generation.folder.text)
        assert len(found(strange, "whale")) == 2 * BLOCK
        assert found(strange, "red fish") == []


def test_a_backup_has_the_lists(engine: LocalEngine, tmp_path: Path) -> None:
    index = engine.index(SPEC)
    fill(index, 4 * BLOCK)
    index.optimize()
    engine.close()
    backup(engine.path, tmp_path / "backup")
    restore(tmp_path / "backup", tmp_path / "restored")
    with LocalEngine(tmp_path / "restored", read_only=True) as restored:
        again = restored.index(restored.catalog.index("bucket", "index"))
        assert restored.catalog.text_fields(again.spec.uid) == (TextField("body"),)
        assert len(list(again.snapshot().generation.folder.text.rglob("*.text"))) == 1
        assert found(again, "red fish w3") == found(engine.index(SPEC), "red fish w3")


def test_a_read_only_store_is_searched_and_nothing_is_written(engine: LocalEngine) -> None:
    fill(engine.index(SPEC), 4 * BLOCK)
    engine.close()
    with LocalEngine(engine.path, read_only=True) as reading:
        index = reading.index(SPEC)
        assert index.text_status() == {"body": "BUILDING"}
        assert len(found(index, "fish")) == len(found(index, "fish"))
        assert index.text_status() == {"body": "ACTIVE"}
        assert not index.snapshot().generation.folder.text.exists()


def test_compaction_carries_the_lists_over(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    index = engine.index(SPEC)
    fill(index, 5 * BLOCK + 3)
    index.optimize()
    index.delete([f"k{n:03}" for n in range(0, 5 * BLOCK, 3)])
    before = index.rank(vector=None, texts=[TextQuery("body", "red fish w4")], depth=50).texts[0]
    order = found(index, "red fish w4", depth=50)
    read = counted(monkeypatch)
    index.compact()
    after = index.rank(vector=None, texts=[TextQuery("body", "red fish w4")], depth=50).texts[0]
    assert found(index, "red fish w4", depth=50) == order
    assert after.scores.tolist() == before.scores.tolist()
    assert len(read) <= BLOCK
    assert not verify(engine.path, deep=True).problems


def test_a_snapshot_does_not_see_what_other_threads_add_to_its_lists(engine: LocalEngine) -> None:
    index = engine.index(SPEC)
    fill(index, BLOCK - 2)
    snapshot = index.snapshot()
    put(index, {f"new{n}": "fish" for n in range(3 * BLOCK)})
    assert len(found(index, "fish")) > 3 * BLOCK
    query = [TextQuery("body", "fish red")]
    old = rank(snapshot, vector=None, texts=query, depth=99, where=EVERYTHING, recall_target=0.9, effort=1)
    assert old.texts[0].rows.max() < BLOCK - 2


def test_threads_that_write_and_search_always_find_what_they_wrote(engine: LocalEngine) -> None:
    index = engine.index(SPEC)
    missed: list[str] = []

    def work(name: str) -> None:
        for n in range(30):
            put(index, {f"{name}-{n}": f"{name}x{n} fish"})
            if found(index, f"{name}x{n}") != [f"{name}-{n}"]:
                missed.append(f"{name}-{n}")
            if n % 10 == 9:
                index.optimize()

    threads = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert missed == []
    assert len(found(index, "fish")) == 90


def test_explain_names_terms_and_how_frequent_they_are(engine: LocalEngine) -> None:
    index = engine.index(SPEC)
    fill(index, 30)
    told = index.explain(None, texts=[TextQuery("body", "the Fish w3")], k=5)
    assert [step.name for step in told.steps] == ["snapshot", "text body", "bm25", "order"]
    assert "the 0, w3 1, fish 6" in told.steps[1].detail
    assert told.exact
    both = index.explain(np.ones(2, np.float32), texts=[TextQuery("body", "fish")], k=5, where=parse_filter({"n": 1}))
    assert both.matches == 0


def test_an_index_that_is_gone_says_so(engine: LocalEngine) -> None:
    index = engine.index(SPEC)
    fill(index, 3)
    with LocalEngine(engine.path, background=False) as other:
        other.catalog.delete_index("bucket", "index")
    with pytest.raises(IndexNotFound):
        found(index, "fish")
    with pytest.raises(IndexNotFound):
        index.text_status()
