"""Korean: words divided into morphemes by Kiwi, without particles and endings.

Nouns are terms as they stand, verbs and adjectives in their dictionary form (읽었습니다, 읽는: 읽다). Left out are
particles (J), endings (E), the copula, the plural 들 and suffixes that make verbs and adjectives of nouns: 학생들이 is
학생, 공부하는 is 공부. Nouns and affixes written together are a term besides (분석기 as well as 분석 and 기), because
Kiwi divides a word in one sentence and not in another. Everything else in a text, Hanja included, is treated as in
every language, and not stemmed.
"""

from __future__ import annotations

import os
import re
import threading
import unicodedata
from collections.abc import Iterator
from importlib.metadata import version

from ragvec.extras import require
from ragvec.text.languages.standard import HAN, RULES, Words, short

__all__ = ["Korean"]

_HANGUL = "\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3"
_ANY_HANGUL = re.compile(f"[{_HANGUL}]")
_RUN = re.compile(f"[{_HANGUL}]+")
# What helps Kiwi to see which word a particle follows and where a sentence ends.
_CONTEXT = re.compile(f"[^{_HANGUL}{HAN}A-Za-z0-9.,!?]+")
_AT_ONCE = re.compile(r"(?s:.){1,256}(?:\S{0,64}(?=\s)|)")
_LEFT_OUT = ("J", "E", "VCP", "XSV", "XSA", "XSM", "SW")
_VERBS = ("V", "XR")
_NOUNS = ("N", "XPN", "XSN")
_PLURAL = ("XSN", "들")


class Korean:
    """The analyzer of Korean; terms in Hangul come after the others. For any thread."""

    def __init__(self) -> None:
        """Raises MissingExtra."""
        kiwipiepy = require("kiwipiepy", extra="text-ko", purpose="Searching Korean text")
        self.name = f"ko:{RULES} kiwi {version('kiwipiepy')} {version('kiwipiepy_model')}"
        self._kiwi = kiwipiepy.Kiwi(num_workers=1)
        self._others = Words(self.name)
        self._renew()
        # A child of a fork finds the lock as another thread of its parent held it.
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Korean({self.name!r})"

    def tokens(self, text: str) -> list[str]:
        """The terms of a text, repeated as they are."""
        if not _ANY_HANGUL.search(text):
            return self._others.tokens(text)
        found = self._others.tokens(_RUN.sub(" ", text))
        plain = unicodedata.normalize("NFC", _CONTEXT.sub(" ", text))
        for piece in _AT_ONCE.findall(plain):
            found += self._morphemes(piece)
        return found

    def query(self, text: str) -> dict[str, float]:
        """The terms of a question with their weights: 1 for each."""
        return dict.fromkeys(self.tokens(text), 1.0)

    def _morphemes(self, piece: str) -> Iterator[str]:
        with self._lock:
            morphemes = self._kiwi.tokenize(piece)
        parts: list[str] = []
        end = -1
        for morpheme in morphemes:
            tag, form = morpheme.tag, morpheme.form
            noun = tag.startswith(_NOUNS) and _ANY_HANGUL.search(form) is not None and (tag, form) != _PLURAL
            if len(parts) > 1 and not (noun and morpheme.start == end):
                yield short("".join(parts))
            if noun:
                parts = [*parts, form] if parts and morpheme.start == end else [form]
                end = morpheme.start + morpheme.len
                yield short(form)
                continue
            parts = []
            if (tag, form) != _PLURAL and not tag.startswith(_LEFT_OUT) and _ANY_HANGUL.search(form):
                yield short(morpheme.lemma if tag.startswith(_VERBS) else form)
        if len(parts) > 1:
            yield short("".join(parts))
