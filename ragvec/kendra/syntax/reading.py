"""Whether a passage has a word, phrase or wildcard, by reading it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ragvec.kendra.syntax.texts import folded_words, has_glob, has_phrase, has_word
from ragvec.kendra.syntax.tree import Phrase, Wildcard, Word
from ragvec.text.analyzers import analyzer
from ragvec.text.forms import form_parts

__all__ = ["Reading"]


class Reading:
    """The reading of one leaf in the text fields given with their languages."""

    def __init__(self, leaf: Word | Phrase | Wildcard, fields: Mapping[str, str | None]) -> None:
        self._leaf = leaf
        self._fields = fields
        self._words = folded_words(leaf.text) if isinstance(leaf, Phrase) else []

    def holds(self, metadata: Mapping[str, Any]) -> bool:
        """Whether a text of one of the fields has what the leaf demands."""
        return any(self._in(text, lang) for key, lang in self._fields.items() for text in _texts(metadata.get(key)))

    def _in(self, text: str, language: str | None) -> bool:
        if isinstance(self._leaf, Word):
            return has_word(text, self._leaf.text, analyzer=analyzer(language))
        if isinstance(self._leaf, Phrase):
            return bool(self._words) and has_phrase(text, self._words)
        return has_glob(text, form_parts(self._leaf.pattern, language=language), language=language)


def _texts(value: object) -> Sequence[str]:
    """The texts of a text field: it holds one, or a list of them."""
    if isinstance(value, str):
        return (value,)
    return [text for text in value if isinstance(text, str)] if isinstance(value, (list, tuple)) else ()
