"""The words of an index and its groups of rows, whatever was written when."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragvec.engine.local.engine import LocalEngine
from ragvec.engine.local.posting_feed import PostingFeed
from ragvec.engine.local.text_feed import TextFeeds
from ragvec.store import Store

WORDS = ["red", "green", "blue", "reed", "grey", "été", "レ"]


@pytest.mark.parametrize("seed", range(3))
def test_rows_terms_and_groups_are_those_of_the_records(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Blocks so small that there are several files, lists in memory, and a tail.
    for feed in (TextFeeds, PostingFeed):
        defaults: Any = feed.__init__
        monkeypatch.setitem(defaults.__kwdefaults__, "block_rows", 16)
    dice = random.Random(seed)
    with Store(engine=LocalEngine(tmp_path / "store", background=False)) as store:
        index = store.create_bucket("bucket").create_index("index", dimension=2, text={"text": None})
        records: dict[str, dict[str, Any]] = {}
        for step in range(30):
            some = {f"k{dice.randrange(60)}": made(dice) for _ in range(dice.randint(1, 8))}
            index.put(list(some), np.ones((len(some), 2)), list(some.values()))
            records |= some
            for key in dice.sample(sorted(records), min(3, len(records) // 4)):
                index.delete([key])
                del records[key]
            if step % 10 == 4:
                index.optimize()
            check(index, records)


def made(dice: random.Random) -> dict[str, Any]:
    found: dict[str, Any] = {"text": " ".join(dice.choices(WORDS, k=dice.randint(0, 4)))}
    if dice.random() < 0.9:
        found["document"] = dice.choice(["a", "b", "c#1", "ключ"]) if dice.random() < 0.95 else 7
    return found


def check(index: Any, records: dict[str, dict[str, Any]]) -> None:
    engine = index.bucket.store.engine.index(index.spec)
    lists = engine.word_lists(by="document")

    def keys(rows: Any) -> set[str]:
        assert rows.dtype == np.uint32
        assert (np.diff(rows.astype(np.int64)) > 0).all()
        return {record.key for record in engine.fetch(rows, generation=lists.generation, data=False, metadata=False)}

    for terms in (["red"], ["reed", "blue"], [], ["absent", "été"]):
        rows = lists.rows("text", terms)
        assert keys(rows) == {key for key, one in records.items() if {*one["text"].split()} & {*terms}}
        groups = {one["document"] for key, one in records.items() if key in keys(rows) and "document" in one} - {7}
        assert lists.names(lists.groups(rows)) == sorted(groups)
        members = lists.members(lists.groups(rows))
        assert keys(members) == {key for key, one in records.items() if one.get("document") in groups}
    live = {word for one in records.values() for word in one["text"].split()}
    for prefix in ("r", "re", "gre", "x"):
        assert set(lists.beginning("text", prefix)) >= {word for word in live if word.startswith(prefix)}
        assert all(term.startswith(prefix) for term in lists.beginning("text", prefix))
