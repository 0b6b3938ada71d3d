"""Structure found in plain text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ragvec.pipeline.outline import heading_label, outline

PAGE = """RESTORE TESTS
Kept by Owen

1. WHY

A backup nobody has restored is a rumour. Every quarter
we draw twenty files.

2.1 Scope

* first item
  goes on here
* second item

    2025 Q2   20 of 20 files
    2025 Q3   19 of 20 files. The missing one lay in a folder whose
              name ended with a full stop

Words we use

The words below are used in the whole of this document and in every other one of the series.

Underlined
----------
Text under it.

# Marked
```
a = 1

b = 2
```
"""


def shape(text: str) -> list[tuple[str, int, str]]:
    return [(block.kind, block.level, text[block.begin : block.end]) for block in outline(text)]


def test_the_blocks_of_a_page() -> None:
    assert shape(PAGE) == [
        ("heading", 1, "RESTORE TESTS"),
        ("paragraph", 0, "Kept by Owen"),
        ("heading", 2, "1. WHY"),
        ("paragraph", 0, "A backup nobody has restored is a rumour. Every quarter\nwe draw twenty files."),
        ("heading", 3, "2.1 Scope"),
        ("item", 0, "* first item\n  goes on here"),
        ("item", 0, "* second item"),
        ("row", 0, "2025 Q2   20 of 20 files"),
        (
            "row",
            0,
            "2025 Q3   19 of 20 files. The missing one lay in a folder whose\n"
            "              name ended with a full stop",
        ),
        ("heading", 2, "Words we use"),
        (
            "paragraph",
            0,
            "The words below are used in the whole of this document and in every other one of the series.",
        ),
        ("heading", 2, "Underlined\n----------"),
        ("paragraph", 0, "Text under it."),
        ("heading", 1, "# Marked"),
        ("code", 0, "```\na = 1\n\nb = 2\n```"),
    ]


def test_labels_of_headings_have_no_marks() -> None:
    labels = [heading_label(PAGE, block) for block in outline(PAGE) if block.kind == "heading"]
    assert labels == ["RESTORE TESTS", "1. WHY", "2.1 Scope", "Words we use", "Underlined", "Marked"]


def test_ordinary_sentences_are_no_headings() -> None:
    text = "I saw it.\n\nNATO met in Porto, and nobody came.\n\n3 of 4 were late\n\n- NOT A HEADING\n\nYes!\n\nend"
    assert {kind for kind, _, _ in shape(text)} == {"paragraph", "item"}


def test_white_space_has_no_blocks() -> None:
    assert outline("") == outline(" \r\n\t\n") == ()


@given(st.text(st.sampled_from("aB1.#-=*`|: \t\r\n\u2028é漢"), max_size=200))
def test_every_visible_character_is_in_exactly_one_block(text: str) -> None:
    covered = [0] * len(text)
    previous = 0
    for block in outline(text):
        assert previous <= block.begin < block.end <= len(text)
        assert text[block.begin : block.end].strip() == text[block.begin : block.end]
        previous = block.end
        for at in range(block.begin, block.end):
            covered[at] += 1
    assert all(count == 1 for at, count in enumerate(covered) if not text[at].isspace())
