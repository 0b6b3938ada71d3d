"""Bytes to text."""

from __future__ import annotations

import codecs

import pytest

from ragvec.errors import DocumentError
from ragvec.pipeline import encodings
from ragvec.pipeline.encodings import decode

TEXT = "Größe: 5 µm, naïve café\nzweite Zeile"


@pytest.mark.parametrize(
    "raw",
    [
        TEXT.encode(),
        codecs.BOM_UTF8 + TEXT.encode(),
        codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
        codecs.BOM_UTF32_LE + TEXT.encode("utf-32-le"),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("\n", "\r").encode(),
    ],
    ids=["utf-8", "utf-8 mark", "utf-16 le", "utf-16 be", "utf-32 le", "crlf", "cr"],
)
def test_what_is_certain_needs_no_note(raw: bytes) -> None:
    assert decode(raw) == (TEXT, "")


def test_the_declared_encoding_is_believed_when_utf_8_is_wrong() -> None:
    assert decode(TEXT.encode("latin-1"), declared="iso-8859-1") == (
        TEXT,
        "decoded as iso-8859-1, as the file declares",
    )
    assert decode(TEXT.encode(), declared="iso-8859-1") == (TEXT, "")


def test_a_guess_is_told() -> None:
    pytest.importorskip("charset_normalizer")
    sentence = "Příliš žluťoučký kůň úpěl ďábelské ódy. Které dítě to ví? Všichni to vědí už dávno a dobře. " * 5
    text, note = decode(sentence.encode("cp1250"))
    assert text == sentence
    assert note.startswith("decoded as cp1250, a guess")


def test_a_few_accents_are_windows_1252() -> None:
    for sentence in ("The naïve señor ate crème brûlée.", "Größe: 5 € – für Zoë"):
        text, note = decode(sentence.encode("cp1252"))
        assert text == sentence
        assert note.startswith("decoded as cp1252, a guess")


def test_without_the_guesser_it_is_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encodings, "available", lambda module: False)
    text, note = decode("café – 5 €".encode("cp1252"), declared="no-such-encoding")
    assert text == "café – 5 €"
    assert note.startswith("decoded as cp1252, a guess")


@pytest.mark.parametrize(
    "raw", [b"\x7fELF\x00\x00", b"\x89PNG\r\n\x1a\n\x00\x00\xff", codecs.BOM_UTF16_LE + b"\x00\xd8\x41"]
)
def test_what_is_not_text_is_refused(raw: bytes) -> None:
    with pytest.raises(DocumentError, match="Expected"):
        decode(raw)
