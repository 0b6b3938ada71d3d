from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from benchmarks import text_ours
from benchmarks.text import QUESTIONS, variations
from benchmarks.text_peers import Fts5, measured

GLOSSES = [f"word{n % 7} of{n % 3} gloss{n} here" for n in range(300)]


def test_variations_follow_the_real_texts_and_are_the_same_each_time():
    texts = variations(GLOSSES, rows=700)
    assert texts[:300] == GLOSSES
    assert len(texts) == 700
    assert texts == variations(GLOSSES, rows=700)
    known = {word for gloss in GLOSSES for word in gloss.split()}
    for row, text in enumerate(texts[300:], 300):
        words = text.split()
        if row % 10 == 0:
            assert words.pop() == str(row)
        assert len(words) == 4
        assert known.issuperset(words)
    changed = sum(text.split()[:4] not in [gloss.split() for gloss in GLOSSES] for text in texts[300:])
    assert 200 < changed < 400
    assert variations(GLOSSES, rows=20) == GLOSSES[:20]


def test_questions_are_fifty_different_ones():
    assert len(set(QUESTIONS)) == 50


def test_lists_in_files_and_fts5_find_the_text_that_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(text_ours, "BLOCK_ROWS", 16)
    for name, system in (("ours", text_ours.Files), ("fts5", Fts5)):
        (tmp_path / name).mkdir()
        system.build(GLOSSES, tmp_path / name)
    fts = Fts5(tmp_path / "fts5")
    with contextlib.closing(fts):
        for asked in (text_ours.Files(tmp_path / "ours"), fts):
            assert [asked.best(f"what is gloss{n} here")[0] for n in (0, 17, 299)] == [0, 17, 299]
            assert len(asked.best("here")) == 10
    rows = [tuple(map(int, path.stem.split("-"))) for path in sorted((tmp_path / "ours").iterdir())]
    assert rows == [(0, 256), (256, 272), (272, 288), (288, 300)]


def test_a_slow_system_is_asked_each_question_once_and_a_fast_one_again():
    calls: list[str] = []

    def best(question: str) -> list[int]:
        calls.append(question)
        return [len(calls)]

    once = measured(best, ["a", "b"], seconds=0)
    assert (calls, once["answers"], len(once["latencies"])) == (["a", "b"], [[1], [2]], 2)
    again = measured(best, ["a", "b"], seconds=60)
    assert (again["answers"], len(again["latencies"])) == ([[3], [4]], 40)
