"""Every chunker: what is promised of any text, and what each does of its own."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragvec.errors import DocumentError, InvalidRequest
from ragvec.kendra.index import QueryIndex
from ragvec.pipeline.chunk import Chunk, Chunker, StructureChunker
from ragvec.pipeline.chunkers import (
    CHUNKERS,
    ParentChunker,
    SemanticChunker,
    SentenceChunker,
    SplitterChunker,
    TokenChunker,
    as_chunker,
    chunker_from_name,
)
from ragvec.pipeline.documents import Block, Document
from ragvec.pipeline.embedders.hashing import HashingEmbedder
from ragvec.pipeline.parents import GAP, PARENT, parents_of
from ragvec.pipeline.run import Pipeline
from ragvec.pipeline.tokenizers import RegexTokenizer
from ragvec.store import Store

sys.path.insert(0, str(Path(__file__).parent))

EMBEDDER = HashingEmbedder(64)
TOKENS = RegexTokenizer()
WORDS = st.sampled_from(
    ["word", "Word.", "end!", "\n", "\n\n", "\r\n", "- item", "# Head", "A   B", "😀", "漢字。", "x" * 40, "\t"]
)
TEXTS = st.lists(WORDS, max_size=80).map(" ".join) | st.text(max_size=150)


class ByLines:
    """Splits as LangChain's splitters do: `split_text`, and settings in attributes."""

    def __init__(self, size: int = 3) -> None:
        self._size = size

    def split_text(self, text: str) -> list[str]:
        lines = text.splitlines()
        return ["\n".join(lines[at : at + self._size]) for at in range(0, len(lines), self._size)]


def document(text: str, **more: Any) -> Document:
    return Document(id="d", text=text, **more)


def check_offsets(text: str, chunks: list[Chunk]) -> None:
    covered = [False] * len(text)
    for chunk in chunks:
        assert text[chunk.begin : chunk.end] == chunk.text
        assert chunk.text == chunk.text.strip() != ""
        covered[chunk.begin : chunk.end] = [True] * (chunk.end - chunk.begin)
    assert all(text[at].isspace() for at, seen in enumerate(covered) if not seen)


MAKERS: dict[str, Any] = {
    "tokens": lambda size, overlap: TokenChunker(max_tokens=size, overlap=min(overlap, size // 2)),
    "sentences": lambda size, overlap: SentenceChunker(sentences=size, overlap=min(overlap, size - 1), max_tokens=20),
    "semantic": lambda size, overlap: SemanticChunker(EMBEDDER, max_tokens=size, drift=overlap / 2),
    "structure": lambda size, overlap: StructureChunker(max_tokens=size, overlap=min(overlap, size // 2)),
    "parents": lambda size, overlap: ParentChunker(
        StructureChunker(max_tokens=size * 3, overlap=min(overlap, size // 2)), StructureChunker(max_tokens=size)
    ),
    "parents of windows": lambda size, overlap: ParentChunker(
        StructureChunker(max_tokens=size * 3), TokenChunker(max_tokens=size, overlap=min(overlap, size // 2))
    ),
}


@pytest.mark.parametrize("kind", MAKERS)
@settings(max_examples=60, deadline=None)
@given(text=TEXTS, size=st.integers(1, 30), overlap=st.integers(0, 6))
def test_every_chunk_is_a_part_of_the_text_and_nothing_is_lost(kind: str, text: str, size: int, overlap: int) -> None:
    chunker = MAKERS[kind](size, overlap)
    chunks = chunker.split(document(text))
    check_offsets(text, chunks)
    if kind in ("tokens", "semantic"):
        assert all(len(TOKENS.spans(chunk.text)) <= size for chunk in chunks)
    if not kind.startswith("parents"):
        assert all(a.begin < b.begin and a.end < b.end for a, b in pairwise(chunks))


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize(
    "text",
    [
        "x" * 300_000,
        "a" + " " * 300_000 + "b",
        "😀👩‍👩‍👧 " * 5_000,
        "One line.\r\n* item\r\n" * 2_000,
        "漢字。" * 10_000,
    ],
    ids=["one word", "a gap", "emoji", "crlf", "han"],
)
def test_hostile_texts_are_split_like_any_other(kind: str, text: str) -> None:
    check_offsets(text, MAKERS[kind](100, 20).split(document(text)))


@pytest.mark.parametrize("kind", MAKERS)
def test_every_chunk_knows_its_heading_and_its_page(kind: str) -> None:
    body = "Some words about this. " * 30
    text = f"# A\n\n{body}\n\n## B\n\n{body}\n\n# C\n\n{body}"
    middle = text.index("## B")
    chunks = MAKERS[kind](40, 1).split(document(text, pages=(0, middle)))
    paths = ["A", "A > B", "C"]
    starts = [0, middle, text.index("# C")]
    for chunk in chunks:
        assert chunk.page == (1 if chunk.begin < middle else 2)
        if kind != "tokens" or chunk.begin in starts:
            assert chunk.heading in paths
        assert chunk.heading == paths[max(at for at, start in enumerate(starts) if start <= chunk.begin)]


def test_token_windows_are_full_and_overlap() -> None:
    text = " ".join(f"w{number}" for number in range(1_000))
    chunks = TokenChunker(max_tokens=100, overlap=20).split(document(text))
    sizes = [len(TOKENS.spans(chunk.text)) for chunk in chunks]
    assert sizes[:-1] == [100] * (len(chunks) - 1)
    for before, after in pairwise(chunks):
        assert len(TOKENS.spans(text[after.begin : before.end])) == 20


def test_token_windows_do_not_divide_words() -> None:
    class Letters:
        def spans(self, text: str) -> list[tuple[int, int]]:
            return [(at, at + 1) for at, letter in enumerate(text) if not letter.isspace()]

    words = [f"word{number}" for number in range(300)]
    chunks = TokenChunker(Letters(), max_tokens=40, overlap=8).split(document(" ".join(words)))
    assert all(set(chunk.text.split()) <= set(words) for chunk in chunks)


def test_sentences_are_counted_and_repeated_within_their_section() -> None:
    section = " ".join(f"Sentence {number} has six words." for number in range(9))
    text = f"# One\n\n{section}\n\n# Two\n\n{section}"
    chunks = SentenceChunker(sentences=4, overlap=1).split(document(text))
    assert [chunk.heading for chunk in chunks] == ["One"] * 3 + ["Two"] * 3
    assert [chunk.text.count("Sentence") for chunk in chunks] == [4, 4, 3] * 2
    assert chunks[0].text.startswith("# One\n\nSentence 0")
    assert chunks[1].text.startswith("Sentence 3")


def test_meaning_that_turns_ends_a_chunk() -> None:
    ferry = "The ferry boat leaves the ferry harbour with the boat crew. " * 6
    bread = "Bake sourdough bread in an oven with flour and bread salt. " * 6
    text = (ferry + bread).strip()
    chunks = SemanticChunker(HashingEmbedder(256), max_tokens=500, min_tokens=20).split(document(text))
    assert [chunk.begin for chunk in chunks] == [0, len(ferry)]


def test_semantic_chunks_are_the_same_however_vectors_are_batched(monkeypatch: pytest.MonkeyPatch) -> None:
    text = " ".join(f"Sentence {number} is of {'ferries' if number % 7 else 'bread'}." for number in range(90))
    whole = SemanticChunker(EMBEDDER, max_tokens=60).split(document(text))
    monkeypatch.setattr("ragvec.pipeline.chunkers.semantic._BATCH", 7)
    assert SemanticChunker(EMBEDDER, max_tokens=60).split(document(text)) == whole


@settings(max_examples=60, deadline=None)
@given(text=TEXTS, size=st.integers(1, 12), overlap=st.integers(0, 5))
def test_children_lie_in_their_parents_and_give_their_text_back(text: str, size: int, overlap: int) -> None:
    chunks = ParentChunker(
        StructureChunker(max_tokens=size * 4), TokenChunker(max_tokens=size, overlap=min(overlap, size // 2))
    ).split(document(text))
    for number, chunk in enumerate(chunks):
        assert chunk.stored is not None
        begin, end, first, after = chunk.stored[PARENT]
        assert begin <= chunk.begin < chunk.end <= end
        assert first <= number < after
        if GAP in chunk.stored:
            assert text[chunk.begin - len(chunk.stored[GAP]) : chunk.begin] == chunk.stored[GAP]


def test_hits_give_the_parents_that_they_were_cut_from(tmp_path: Path) -> None:
    parts = [
        f"# Part {part}\n\n" + "\n\n".join(f"Line {line} of {part}.  Ends here.\n- item {line}" for line in range(12))
        for part in range(4)
    ]
    text = "\n\n".join(parts)
    chunker = chunker_from_name("parents:120:20", EMBEDDER)
    whole = {chunk.text for chunk in StructureChunker(max_tokens=120).split(document(text))}
    with Store(tmp_path) as store:
        index = store.bucket("work").index("notes")
        pipeline = Pipeline(index=index, embedder=EMBEDDER, chunker=chunker)
        assert not pipeline.run([document(text), Document(id="e", text="Short.")], progress=False).failed
        hits = index.query(EMBEDDER.embed_query("Line 7 of 2. Ends here."), k=8)
        parents = parents_of(index, hits)
        assert 1 <= len(parents) < 8
        assert "Line 7 of 2." in parents[0].text
        for parent in parents:
            assert parent.text in whole | {"Short."}
            assert parent.document_id == "e" or text[parent.begin : parent.end] == parent.text
        everything = parents_of(index, index.iter())
        assert {parent.text for parent in everything} == whole | {"Short."}


def test_passages_of_the_query_layer_give_their_parents_too(tmp_path: Path) -> None:
    steps = "\n\n".join(f"Step {number} has a note on step {number}." for number in range(30))
    text = f"# Opening\n\n{steps}\n\n# Closing\n\nLock the door. Take the key with you. Switch off the light."
    with Store(tmp_path) as store:
        index = store.bucket("work").index("notes")
        Pipeline(index=index, embedder=EMBEDDER, chunker="parents:60:10").run(
            [document(text, attributes={"team": "x"})], progress=False
        )
        asked = QueryIndex(index)
        (small,) = asked.retrieve("who takes the key?", page_size=1)
        (large,) = asked.retrieve("who takes the key?", page_size=1, parents=True)
        assert (small.text, text[small.begin : small.end]) == ("Take the key with you.", small.text)
        assert large.text == text[large.begin : large.end] == text[text.index("# Closing") :]
        assert small.attributes == large.attributes
        assert small.attributes["team"] == "x"
        assert not {PARENT, GAP} & set(small.attributes)
        every = asked.retrieve("step note", page_size=50, parents=True)
        assert len({(item.begin, item.end) for item in every}) == len(every) < 30
        (document_item,) = asked.search("who takes the key?")
        assert not {PARENT, GAP} & set(document_item.attributes)


def test_passages_without_parents_are_their_own(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        index = store.bucket("work").index("notes")
        Pipeline(index=index, embedder=EMBEDDER).run([document("Only this.")], progress=False)
        (parent,) = parents_of(index, index.iter())
        assert (parent.text, parent.begin, parent.end) == ("Only this.", 0, 10)


def test_splitters_of_others_are_chunkers() -> None:
    text = "# Head\n\n" + "\n".join(f"  line {number}" for number in range(10))
    chunker = as_chunker(ByLines(4), EMBEDDER)
    chunks = chunker.split(document(text))
    check_offsets(text, chunks)
    assert chunker.name == "ByLines(size=4)"
    assert as_chunker(ByLines(5), EMBEDDER).name != chunker.name
    assert len(chunks) == 3


def test_pieces_of_a_text_that_repeats_itself_leave_nothing_out() -> None:
    text = "the same line\n" * 50
    chunks = as_chunker(ByLines(7), EMBEDDER).split(document(text))
    check_offsets(text, chunks)
    assert all(a.end < b.begin for a, b in pairwise(chunks))


def test_pieces_that_are_not_of_the_text_are_refused() -> None:
    class Shouting:
        def split_text(self, text: str) -> list[str]:
            return [text.upper()]

    with pytest.raises(DocumentError, match=r"got piece 1 of Shouting, which does not: 'SOME WORDS'"):
        SplitterChunker(Shouting()).split(document("some words"))


def test_the_splitters_of_langchain() -> None:
    splitters = pytest.importorskip("langchain_text_splitters")
    text = "# Head\n\n" + "Some words here. " * 200
    for splitter in (
        splitters.RecursiveCharacterTextSplitter(chunk_size=200, chunk_overlap=40),
        splitters.CharacterTextSplitter(separator=" ", chunk_size=100, chunk_overlap=20),
    ):
        chunks = as_chunker(splitter, EMBEDDER).split(document(text))
        check_offsets(text, chunks)
        assert len(chunks) > 10


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("structure", "structure-2:200:0:50"),
        ("structure:120:20", "structure-2:120:20:30"),
        ("structure:120:20:0", "structure-2:120:20:0"),
        ("tokens", "tokens-1:256:32"),
        ("tokens:100:7", "tokens-1:100:7"),
        ("sentences", "sentences-1:5:1:200"),
        ("sentences:1", "sentences-1:1:0:200"),
        ("semantic:90:1.5", "semantic-1:90:22:1.5:hashing:64"),
        ("parents", "parents-1(structure-2:800:0:200)(structure-2:150:0:0)"),
        ("parents:400:50", "parents-1(structure-2:400:0:100)(structure-2:50:0:0)"),
    ],
)
def test_chunkers_have_names(name: str, made: str) -> None:
    chunker = as_chunker(name, EMBEDDER)
    assert isinstance(chunker, Chunker)
    assert chunker.name.replace(EMBEDDER.name, "hashing:64") == made


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("structur", "Expected a chunker named structure, tokens, sentences, semantic, parents, got 'structur'"),
        ("tokens:a", r"Expected tokens\[:TOKENS\[:OVERLAP\]\], got 'tokens:a'"),
        ("tokens:1:0:3", r"Expected tokens\[:TOKENS\[:OVERLAP\]\], got 'tokens:1:0:3'"),
        ("tokens:1.5", "Expected whole numbers in the chunker's name, got 'tokens:1.5'"),
        ("tokens:0", "Expected max_tokens from 1 and an overlap from 0 to half of it, got 0 and 0"),
        ("sentences:2:2", "Expected sentences from 1 and an overlap of fewer, got 2 and 2"),
        ("sentences:2:1:0", "Expected max_tokens from 1, got 0"),
        ("parents:10:20", "Expected children of at most 10 tokens, as their parents, got 20"),
    ],
)
def test_names_that_make_no_sense_are_refused(name: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        chunker_from_name(name, EMBEDDER)


def test_what_is_no_chunker_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="Expected a chunker, with `split` and `name`, the name of one"):
        as_chunker(7, EMBEDDER)
    with pytest.raises(InvalidRequest, match="Expected a finite number of standard deviations as drift, got nan"):
        SemanticChunker(EMBEDDER, drift=float("nan"))
    assert set(CHUNKERS) == {"structure", "tokens", "sentences", "semantic", "parents"}


def test_code_is_cut_at_lines() -> None:
    lines = [f"value_{number} = compute({number})  # It does. So it is." for number in range(60)]
    text = "\n".join(lines)
    chunks = StructureChunker(max_tokens=100).split(document(text, blocks=(Block(0, len(text), "code"),)))
    check_offsets(text, chunks)
    assert len(chunks) > 5
    assert all(set(chunk.text.splitlines()) <= set(lines) for chunk in chunks)


def test_vectors_are_not_needed_for_one_sentence() -> None:
    class Never:
        name, dimension = "never", 1

        def embed_documents(self, texts: Any) -> Any:
            raise AssertionError("nothing is to be embedded")

        def embed_query(self, text: str) -> Any:
            return np.zeros(1)

    assert len(SemanticChunker(Never()).split(document("One sentence."))) == 1
