"""Inverted lists in memory, in files and of the newest rows, against what counting the words of the texts gives."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragvec.errors import Corrupted
from ragvec.text.inverted import Inverted, merged
from ragvec.text.inverted_tail import InvertedTail
from ragvec.text.sections import write_sections

ABOUT = {"key": "body", "analyzer": "plain"}
WORDS = st.sampled_from(["a", "ab", "b", "é", "\U0001f600", "\uffff", "\x00", "\ud800", "z" * 255]) | st.text(
    st.characters(), min_size=1, max_size=3
)
TEXTS = st.lists(st.lists(WORDS, max_size=8), max_size=25)


def built(texts: Sequence[Sequence[str]], *, first: int = 0) -> Inverted:
    tail = InvertedTail(first)
    for text in texts:
        tail.add(text)
    return tail.freeze()


def encoded(word: str) -> bytes:
    return word.encode("utf-8", "surrogatepass")


def check(lists: Inverted, texts: Sequence[Sequence[str]]) -> None:
    """The lists are those of the texts."""
    assert lists.lengths.tolist() == [len(text) for text in texts]
    assert lists.last - lists.first == len(texts)
    assert lists.documents == sum(map(bool, texts))
    assert lists.tokens == sum(map(len, texts))
    terms = sorted({word for text in texts for word in text}, key=encoded)
    assert list(lists.vocabulary()) == [encoded(term) for term in terms]
    assert [lists.term(number) for number in range(len(lists))] == [encoded(term) for term in terms]
    counted = [Counter(text) for text in texts]
    for term in terms:
        found = lists.find(term)
        assert found is not None
        having = [row for row, counts in enumerate(counted) if term in counts]
        assert found.rows.tolist() == having
        assert found.counts.tolist() == [counted[row][term] for row in having]
        average = lists.tokens / lists.documents
        peak = max(counted[row][term] / (counted[row][term] + 0.3 + 0.9 * len(texts[row]) / average) for row in having)
        assert found.peak == pytest.approx(peak, rel=1e-5)
        assert lists.find(term + "\x00x") is None
    assert lists.find("") is None


@settings(deadline=None, max_examples=100)
@given(TEXTS, st.integers(0, 1 << 20))
def test_lists_are_those_of_the_texts(texts: list[list[str]], first: int) -> None:
    lists = built(texts, first=first)
    assert (lists.first, lists.last) == (first, first + len(texts))
    check(lists, texts)


@settings(deadline=None, max_examples=80)
@given(TEXTS.filter(len), st.lists(st.integers(1, 24), max_size=4), st.integers(0, 99))
def test_merging_gives_the_same_bytes_as_building_at_once(texts: list[list[str]], cuts: list[int], first: int) -> None:
    ends = [0, *sorted({cut for cut in cuts if cut < len(texts)}), len(texts)]
    parts = [built(texts[start:end], first=first + start) for start, end in itertools.pairwise(ends)]
    whole = built(texts, first=first)
    for joined in (merged(parts), merged([merged(parts[:1]), *parts[1:]])):
        check(joined, texts)
        assert (joined.first, joined.last) == (whole.first, whole.last)
        for name, array in whole.arrays().items():
            assert joined.arrays()[name].dtype == array.dtype, name
            assert joined.arrays()[name].tobytes() == array.tobytes(), name


@settings(deadline=None, max_examples=40)
@given(TEXTS)
def test_files_hold_what_was_in_memory(tmp_path_factory: pytest.TempPathFactory, texts: list[list[str]]) -> None:
    path = tmp_path_factory.mktemp("lists") / "1.text"
    lists = built(texts, first=7)
    lists.write(path, about=ABOUT)
    again = Inverted.open(path, about=ABOUT)
    again.verify()
    check(again, texts)
    assert (again.first, again.last, again.path) == (7, 7 + len(texts), path)
    if texts:
        # What is merged from files is what is merged from memory.
        more = built([["later"]], first=again.last)
        assert {name: array.tobytes() for name, array in merged([again, more]).arrays().items()} == {
            name: array.tobytes() for name, array in merged([lists, more]).arrays().items()
        }


def test_numbers_are_as_narrow_as_they_fit() -> None:
    lists = built([["a"] * 255, ["b"] * 3])
    assert {name: lists.arrays()[name].dtype.name for name in ("counts", "lengths", "rows")} == {
        "counts": "uint8",
        "lengths": "uint8",
        "rows": "uint32",
    }
    joined = merged([lists, built([["a"] * 70_000], first=2)])
    assert {name: joined.arrays()[name].dtype.name for name in ("counts", "lengths")} == {
        "counts": "uint32",
        "lengths": "uint32",
    }


def test_repr_tells_rows_and_place(tmp_path: Path) -> None:
    lists = built([["a"]], first=4)
    assert repr(lists) == "Inverted(4, 5, memory)"
    lists.write(tmp_path / "4-5.text", about=ABOUT)
    assert repr(Inverted.open(tmp_path / "4-5.text", about=ABOUT)) == "Inverted(4, 5, 4-5.text)"


def test_damage_of_every_array_is_found(tmp_path: Path) -> None:
    path = tmp_path / "1.text"
    lists = built([["a", "b", "b"], ["b", "c"]])
    lists.write(path, about=ABOUT)
    whole = path.read_bytes()
    for name, array in lists.arrays().items():
        at = whole.find(array.tobytes())
        assert at > 0, name
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1 :])
        with pytest.raises(Corrupted, match="does not match its checksum"):
            Inverted.open(path, about=ABOUT).verify()


@pytest.mark.parametrize(
    "about",
    [
        {},
        {**ABOUT, "first": 0},
        {**ABOUT, "first": 0, "last": "2"},
        {**ABOUT, "first": 0, "last": 2, "more": 1},
        {"key": "title", "analyzer": "plain", "first": 0, "last": 2},
    ],
)
def test_lists_of_something_else_are_refused(tmp_path: Path, about: dict[str, object]) -> None:
    path = tmp_path / "1.text"
    write_sections(path, built([["a"], []]).arrays(), about=about, magic=b"ragvtext", version=1)
    with pytest.raises(Corrupted, match="the terms of something else"):
        Inverted.open(path, about=ABOUT)


def test_lists_with_too_few_lengths_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "1.text"
    described = {**ABOUT, "first": 0, "last": 3}
    write_sections(path, built([["a"], []]).arrays(), about=described, magic=b"ragvtext", version=1)
    with pytest.raises(Corrupted, match="2 lengths for 3 rows"):
        Inverted.open(path, about=ABOUT)


@settings(deadline=None, max_examples=60)
@given(TEXTS, TEXTS)
def test_a_view_of_the_newest_rows_does_not_see_later_ones(before: list[list[str]], after: list[list[str]]) -> None:
    tail = InvertedTail(5)
    for text in before:
        tail.add(text)
    view = tail.view(tail.last)
    for text in after:
        tail.add(text)
    frozen = built(before, first=5)
    assert (view.first, view.last, view.documents, view.tokens) == (5, frozen.last, frozen.documents, frozen.tokens)
    assert view.lengths.tolist() == frozen.lengths.tolist()
    for term in {word for text in [*before, *after] for word in text}:
        seen, wanted = view.find(term), frozen.find(term)
        assert (seen is None) == (wanted is None)
        if seen is not None and wanted is not None:
            assert seen.rows.tolist() == wanted.rows.tolist()
            assert seen.counts.tolist() == wanted.counts.tolist()
            assert seen.peak >= wanted.peak
    check(tail.freeze(), [*before, *after])


def test_threads_read_whole_rows_while_one_adds() -> None:
    tail = InvertedTail(0)
    rows, wrong = 6_000, []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            last = tail.last
            view = tail.view(last)
            for term, step in (("every", 1), ("third", 3), (f"new{max(0, last - 1)}", rows)):
                found = view.find(term)
                got = [] if found is None else found.rows.tolist()
                wanted = list(range(0, last, step)) if step < rows else [last - 1] if last else []
                counts = [] if found is None else found.counts.tolist()
                if got != wanted or counts != [row % 4 + 1 if term == "every" else 1 for row in wanted]:
                    wrong.append((term, last, got[-3:], wanted[-3:]))
            if len(view.lengths) != last:
                wrong.append(("lengths", last, [len(view.lengths)], [last]))

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for row in range(rows):
            tail.add(["every"] * (row % 4 + 1) + ["third"] * (row % 3 == 0) + [f"new{row}"])
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert tail.freeze().documents == rows
