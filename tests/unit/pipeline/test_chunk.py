"""Splitting documents: what is promised of every text, and what happens to structure."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragvec.errors import DocumentError, InvalidRequest
from ragvec.pipeline.chunk import Chunk, Chunker, StructureChunker
from ragvec.pipeline.documents import Block, Document
from ragvec.pipeline.tokenizers import RegexTokenizer

TOKENS = RegexTokenizer()
WORDS = st.sampled_from(
    ["word", "Word.", "end!", "\n", "\n\n", "\r\n", "- item", "# Head", "A   B", "😀", "漢字。", "x" * 40]
)
TEXTS = st.lists(WORDS, max_size=80).map(" ".join) | st.text(max_size=150)


class EveryCharacter:
    """A tokenizer at the other extreme: each visible character a token."""

    def spans(self, text: str) -> list[tuple[int, int]]:
        return [(at, at + 1) for at, character in enumerate(text) if not character.isspace()]


def split(text: str, *, title: str = "", blocks: tuple[Block, ...] = (), **settings: int) -> list[Chunk]:
    return StructureChunker(**settings).split(Document(id="d", text=text, title=title, blocks=blocks))


def check_promises(text: str, chunks: list[Chunk], chunker: StructureChunker) -> None:
    covered = [0] * len(text)
    for chunk in chunks:
        assert text[chunk.begin : chunk.end] == chunk.text
        assert chunk.text == chunk.text.strip() != ""
        assert len(chunk.text) <= chunker.max_characters
        assert len(chunker.tokenizer.spans(chunk.text)) <= chunker.max_tokens
        for at in range(chunk.begin, chunk.end):
            covered[at] += 1
    begins = [chunk.begin for chunk in chunks]
    ends = [chunk.end for chunk in chunks]
    assert begins == sorted(set(begins))
    assert ends == sorted(set(ends))
    assert all(count for at, count in enumerate(covered) if not text[at].isspace())
    if not chunker.overlap:
        assert max(covered, default=0) <= 1


@given(TEXTS, st.integers(1, 30), st.integers(0, 6), st.booleans())
def test_nothing_is_lost_repeated_or_too_long(text: str, size: int, overlap: int, characters: bool) -> None:
    tokenizer = EveryCharacter() if characters else TOKENS
    chunker = StructureChunker(tokenizer, max_tokens=size, overlap=min(overlap, size // 2))
    check_promises(text, chunker.split(Document(id="d", text=text)), chunker)


@pytest.mark.parametrize(
    "text",
    [
        "x" * 1_000_000,
        " \n\t" * 100_000,
        "a" + " " * 300_000 + "b",
        "😀👩‍👩‍👧 " * 10_000,
        "One line.\r\n\r\n* item\r\n* item\r\n" * 3_000,
        "\u200b" * 20_000,
        "e\u0301" * 30_000,
        "漢字。" * 20_000,
        "\n".join(f"row {number}\t{number * 7}" for number in range(5_000)),
    ],
    ids=["one word", "white space", "a gap", "emoji", "crlf", "invisible", "accents", "han", "table"],
)
@pytest.mark.parametrize("overlap", [0, 20])
def test_hostile_texts_are_split_like_any_other(text: str, overlap: int) -> None:
    chunker = StructureChunker(max_tokens=100, overlap=overlap)
    check_promises(text, chunker.split(Document(id="d", text=text)), chunker)


def test_white_space_gives_no_chunks() -> None:
    assert split("") == split(" \n ") == []


def test_a_document_that_fits_is_one_chunk() -> None:
    assert split("  A few words.\n") == [Chunk("A few words.", 2, 14)]


def test_sections_are_kept_apart_and_know_their_headings() -> None:
    body = "Some words about this. " * 6
    headings = ("# Travel", "## Per diem", "### Porto", "## Trains", "# Other")
    text = "\n\n".join(f"{heading}\n\n{body}" for heading in headings)
    chunks = split(text, max_tokens=60, min_tokens=10)
    assert [chunk.heading for chunk in chunks] == [
        "Travel",
        "Travel > Per diem",
        "Travel > Per diem > Porto",
        "Travel > Trains",
        "Other",
    ]
    assert all(chunk.text.startswith("#") for chunk in chunks)


def test_the_title_is_no_part_of_the_path() -> None:
    body = "Some words about this. " * 6
    text = f"# Travel\n\n{body}\n\n## Trains\n\n{body}"
    assert [chunk.heading for chunk in split(text, max_tokens=40, min_tokens=10)] == ["", "Trains"]
    two = f"# Travel\n\n{body}\n\n# Trains\n\n{body}"
    assert [chunk.heading for chunk in split(two, title="Travel", max_tokens=40, min_tokens=10)] == ["", "Trains"]


def test_short_sections_are_joined_with_the_next() -> None:
    text = "# A\n\nTiny.\n\n# B\n\nAlso tiny.\n\n# C\n\n" + "Long enough to stand alone. " * 10
    assert len(split(text, max_tokens=100, min_tokens=20)) == 1


def test_a_heading_does_not_stand_alone_at_the_end_of_a_chunk() -> None:
    text = "First words. " * 20 + "\n\n# Heading\n\n" + "More words here. " * 20
    chunks = split(text, max_tokens=70, min_tokens=10)
    assert not any(chunk.text.endswith("Heading") for chunk in chunks)
    assert any(chunk.text.startswith("# Heading\n\nMore") for chunk in chunks)


def test_a_long_section_is_divided_evenly_at_sentences() -> None:
    text = " ".join(f"Sentence {number} has six words." for number in range(35))
    chunks = split(text, max_tokens=100)
    sizes = [len(TOKENS.spans(chunk.text)) for chunk in chunks]
    assert len(chunks) == 3
    assert max(sizes) - min(sizes) <= 14
    assert all(chunk.text.startswith("Sentence") and chunk.text.endswith(".") for chunk in chunks)


def test_rows_and_items_stay_whole() -> None:
    rows = [f"city {number}: Porto; rate: {number} EUR. Paid weekly." for number in range(40)]
    text = "\n".join(rows)
    ends, at = [], 0
    for row in rows:
        ends.append(Block(at, at + len(row), "row"))
        at += len(row) + 1
    for chunk in split(text, blocks=tuple(ends), max_tokens=50):
        assert all(line in rows for line in chunk.text.splitlines())


def test_overlap_repeats_whole_sentences_within_a_section_only() -> None:
    section = " ".join(f"Sentence {number} has six words." for number in range(20))
    text = f"# One\n\n{section}\n\n# Two\n\n{section}"
    chunks = split(text, max_tokens=60, overlap=14, min_tokens=10)
    within = [(a, b) for a, b in pairwise(chunks) if a.heading == b.heading]
    across = [(a, b) for a, b in pairwise(chunks) if a.heading != b.heading]
    assert within
    assert across
    for before, after in within:
        repeated = text[after.begin : before.end]
        assert repeated.startswith("Sentence")
        assert 1 <= len(TOKENS.spans(repeated)) <= 14
    assert all(after.begin >= before.end for before, after in across)


def test_pages_are_those_at_which_chunks_begin() -> None:
    text = "First page words here. " * 5 + "Second page words here. " * 5
    document = Document(id="d", text=text, pages=(0, 115))
    chunks = StructureChunker(max_tokens=25).split(document)
    assert [chunk.page for chunk in chunks] == [1 if chunk.begin < 115 else 2 for chunk in chunks]
    assert {chunk.page for chunk in chunks} == {1, 2}


def test_text_outside_of_given_blocks_is_not_lost() -> None:
    text = "before [block] after"
    chunks = split(text, blocks=(Block(7, 14, "paragraph"),))
    assert [chunk.text for chunk in chunks] == [text]


def test_blocks_beyond_the_text_are_refused() -> None:
    with pytest.raises(DocumentError, match=r"Expected blocks in order within 4 characters, got \[2, 9\) after 0"):
        split("text", blocks=(Block(2, 9, "paragraph"),))


@pytest.mark.parametrize(("size", "overlap"), [(0, 0), (10, 6), (10, -1)])
def test_settings_that_make_no_sense_are_refused(size: int, overlap: int) -> None:
    with pytest.raises(InvalidRequest, match="Expected max_tokens from 1"):
        StructureChunker(max_tokens=size, overlap=overlap)


def test_the_name_tells_the_settings() -> None:
    chunker = StructureChunker(max_tokens=120, overlap=10)
    assert isinstance(chunker, Chunker)
    assert chunker.name == "structure-2:120:10:30"
