"""Terms near others, against counting them in the texts themselves."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from ragvec.engine.protocol import NearTerm
from ragvec.filters.nodes import EVERYTHING, Eq
from ragvec.store import Store
from ragvec.text.near import distance


@pytest.mark.parametrize("seed", range(4))
def test_terms_are_counted_among_the_rows_that_live_and_satisfy_the_filter(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    words = ["".join(rng.choices("abcdé", k=rng.randrange(2, 6))) for _ in range(60)]
    with Store(tmp_path / "store") as store:
        index = store.create_bucket("docs").create_index("i", dimension=2, non_filterable=["text"])
        index.add_text("text")
        texts: dict[str, tuple[str, str]] = {}
        for round_ in range(4):
            new = {f"k{rng.randrange(80)}": (rng.choice("xy"), " ".join(rng.choices(words, k=4))) for _ in range(30)}
            metadata = [{"kind": kind, "text": text} for kind, text in new.values()]
            index.put(list(new), np.ones((len(new), 2), np.float32), metadata)
            texts |= new
            gone = rng.sample(sorted(texts), 5)
            index.delete(gone)
            texts = {key: value for key, value in texts.items() if key not in gone}
            if round_ == 1:
                index.optimize()
        engine = store.engine.index(index.spec)
        sought = rng.sample(words, 5)
        for where, kinds in ((EVERYTHING, "xy"), (Eq("kind", "x"), "x")):
            for errors in (0, 1, 2):
                found = engine.near_terms("text", sought, most=[errors] * 5, where=where)
                for word, near in zip(sought, found, strict=True):
                    holders: dict[str, set[str]] = {}
                    for key, (kind, text) in texts.items():
                        for each in text.split() if kind in kinds else ():
                            holders.setdefault(each, set()).add(key)
                    expected = {
                        (term, away, len(keys))
                        for term, keys in holders.items()
                        if (away := distance(word, term, most=errors)) is not None
                    }
                    assert {(one.term, one.distance, one.rows) for one in near} == expected
                    assert list(near) == sorted(near, key=lambda one: (one.distance, -one.rows, one.term))
                    assert all(set(one.keys) <= holders[one.term] and one.keys for one in near)


def test_nothing_is_near_in_an_empty_index(tmp_path: Path) -> None:
    with Store(tmp_path / "store") as store:
        index = store.create_bucket("docs").create_index("i", dimension=2)
        index.add_text("text")
        none: list[tuple[NearTerm, ...]] = [()]
        assert store.engine.index(index.spec).near_terms("text", ["word"], most=[2], where=EVERYTHING) == none
