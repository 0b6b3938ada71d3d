"""Any text: its outline, its sentences, its chunks, its highlights, and how it looks in a terminal and a notebook."""

from __future__ import annotations

from ragvec.cli.output import beginning, clean, metadata_text, visible
from ragvec.errors import DocumentError
from ragvec.pipeline.chunk import StructureChunker
from ragvec.pipeline.documents import Document, Failure
from ragvec.pipeline.loaders.front_matter import front_matter
from ragvec.pipeline.outline import outline
from ragvec.pipeline.report import Report
from ragvec.pipeline.sentences import sentence_starts
from ragvec.text.highlight import excerpt, highlights
from ragvec.text.words import query_terms
from tests.fuzz.harness import Target, text_of

__all__ = ["TARGETS"]

_CHUNKERS = (StructureChunker(max_tokens=20, overlap=5), StructureChunker(max_tokens=1), StructureChunker())


def chunks(data: bytes) -> None:
    text = text_of(data)
    blocks = outline(text)
    position = 0
    for block in blocks:
        assert not text[position : block.begin].strip()
        assert position <= block.begin < block.end <= len(text)
        position = block.end
    assert not text[position:].strip()
    starts = sentence_starts(text, 0, len(text))
    assert starts[0] == 0
    assert starts == sorted(set(starts))
    front_matter(text)
    for chunker in _CHUNKERS:
        try:
            found = chunker.split(Document(id="x", text=text, blocks=blocks))
        except DocumentError as error:
            raise AssertionError("the blocks of its own outline are refused") from error
        inked = sum(not character.isspace() for character in text)
        covered: set[int] = set()
        for chunk in found:
            assert text[chunk.begin : chunk.end] == chunk.text
            assert len(chunk.text) <= chunker.max_characters
            covered.update(at for at in range(chunk.begin, chunk.end) if not text[at].isspace())
        assert len(covered) == inked


def highlight(data: bytes) -> None:
    question, _, body = text_of(data).partition("\n")
    terms = query_terms(question)
    end = 0
    for span in highlights(body, terms):
        assert end <= span.begin < span.end <= len(body)
        end = span.end
    for most in (70, 300):
        found = excerpt(body, terms, max_chars=most)
        assert len(found.text) <= most
        for span in found.highlights:
            assert 0 <= span.begin < span.end <= len(found.text)


def shown(data: bytes) -> None:
    """Neither a terminal nor a notebook takes commands from a document."""
    text = text_of(data)
    for form in (visible(text), clean(text), metadata_text({text: text}), beginning(text, 40)):
        assert not any(ord(character) < 32 and character != "\n" for character in form)
        assert not any(0x7F <= ord(character) < 0xA0 for character in form)
    report = Report(documents=1, failed=(Failure(text, text, text),), notes=((text, text),))
    page = report._repr_html_()
    known = ("<div", "</div", "<table", "</table", "<tr", "</tr", "<td", "</td", "<th", "</th")
    more = ("<details", "</details", "<summary", "</summary", "<code", "</code")
    for at, character in enumerate(page):
        if character == "<":
            assert page.startswith(known + more, at), page[at : at + 20]


_TEXTS = (
    b"",
    b"# Title\n\nText. More text! Dr. Who?\n\n- item\n- item 2\n\n| a | b |\n| 1 | 2 |\n",
    b"---\ntitle: x\ntags: [a, b]\n---\nbody",
    b"```\ncode\n```\n" * 3,
    b"a" * 5_000,
    b". " * 500,
    b"\x00\x01\x1b[31m\x7f\xc2\x85\xe2\x80\xa8\xe2\x80\xae",
    "漢字。かな！ 1. x) e\u0301 \u200b\u00ad\ufeff 👩‍👩‍👧".encode(),
    b"<script>alert(1)</script>\n&amp;<img src=x onerror=y>",
    b"query words\nThe words of a query stand in the text, words.",
    "東京 ー\n東京都の東京ー東京".encode(),
    b"\xed\xa0\x80\n\xff\xed\xa0\x80 \xff",
)
TARGETS = [
    Target("chunks", chunks, _TEXTS),
    Target("highlight", highlight, _TEXTS),
    Target("shown", shown, _TEXTS),
]
