"""How the text of a field becomes terms: by language, the same for what is stored and for what is asked."""

from __future__ import annotations

from functools import cache
from typing import Protocol

from ragvec.errors import InvalidRequest
from ragvec.text.languages.standard import RULES, Words

__all__ = ["LANGUAGES", "Analyzer", "analyzer"]

LANGUAGES = ("en", "fr", "es", "pt", "it", "de", "nl", "zh", "ja", "ko")
"""The languages of their own analyzers, by ISO 639-1 code."""


class Analyzer(Protocol):
    """Makes terms of texts. For any thread; the same text gives the same terms wherever `name` is the same.

    `name` tells the language, the rules and the versions of the libraries and dictionaries that are at work: terms made
    under another name are to be made anew.
    """

    name: str

    def tokens(self, text: str) -> list[str]:
        """The terms of a text, each at most 255 bytes of UTF-8, as often as they occur. Any string is a text."""
        ...

    def query(self, text: str) -> dict[str, float]:
        """The terms of a question, {term: weight}: 1 for each, half for an English word that carries no subject."""
        ...


@cache
def analyzer(language: str | None) -> Analyzer:
    """The analyzer of a language of `LANGUAGES`; of any language for None, by words and folded case alone.

    Raises InvalidRequest: there is none for this language. MissingExtra: its library is not installed.
    """
    if language is None:
        return Words(f"standard:{RULES}")
    if language not in LANGUAGES:
        raise InvalidRequest(
            f"Expected a language of {', '.join(LANGUAGES)} or none, got {language!r} - at `language`", path="language"
        )
    if language == "ko":
        from ragvec.text.languages.korean import Korean

        return Korean()
    if language in ("zh", "ja"):
        from ragvec.text.languages.unspaced import chinese, japanese

        return chinese() if language == "zh" else japanese()
    from ragvec.text.languages.european import european

    return european(language)
