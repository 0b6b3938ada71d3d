"""Chinese and Japanese: runs of characters without spaces, divided into words by dictionaries.

What is not Han (nor kana, in Japanese) is treated as in every language: Latin words and numbers are not stemmed, other
unspaced scripts go by pairs of characters.

Chinese, by jieba (rjieba): the words of its dictionary and the shorter words inside them (清华大学 gives 清华, 大学 and
the whole). What the dictionary does not know falls apart into characters, in a text and in a question alike; jieba's
guesses at unknown words are not used, because they change with the words around. Simplified and traditional characters
are different ones.

Japanese, by Sudachi with its small dictionary: normalised forms, which are the same for inflections (食べました gives
食べる) and spellings (サーバ and サーバー; 打込む and 打ち込む), of words as long as the dictionary has them and of
their parts. Particles, auxiliaries and symbols are left out, as the endings of words are in other languages.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from typing import Any

from ragvec.extras import require
from ragvec.text.languages.standard import HAN, RULES, Words, pairs

__all__ = ["chinese", "japanese"]

_AT_ONCE = 2048
"""Characters of the longest run that a library is given; of a longer one, as many at a time."""

_HAN_RUN = re.compile(f"([{HAN}]+)")
_JAPANESE_RUN = re.compile(f"([{HAN}\u3005-\u3007\u3031-\u3035\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff]+)")
_LEFT_OUT = frozenset({"助詞", "助動詞", "補助記号", "記号", "空白"})


def chinese() -> Words:
    """The analyzer of Chinese. Raises MissingExtra."""
    rjieba = require("rjieba", extra="text-zh", purpose="Searching Chinese text")
    # One of our own: words that somebody adds to the shared one would change terms.
    cut = rjieba.Jieba().cut_for_search
    return Words(f"zh:{RULES} rjieba {version('rjieba')}", run=_divided(_HAN_RUN, lambda part: cut(part, hmm=False)))


def japanese() -> Words:
    """The analyzer of Japanese. Raises MissingExtra."""
    sudachipy = require("sudachipy", extra="text-ja", purpose="Searching Japanese text")
    require("sudachidict_small", extra="text-ja", purpose="Searching Japanese text")
    dictionary = sudachipy.Dictionary(dict="small")
    long, short = sudachipy.SplitMode.C, sudachipy.SplitMode.A
    # A tokenizer is for one thread at a time.
    own = threading.local()

    def morphemes(part: str) -> Iterator[str]:
        tokenizer: Any = getattr(own, "tokenizer", None)
        if tokenizer is None:
            tokenizer = own.tokenizer = dictionary.tokenizer(mode=long)
        for morpheme in tokenizer.tokenize(part):
            if morpheme.part_of_speech()[0] in _LEFT_OUT:
                continue
            yield morpheme.normalized_form()
            parts = morpheme.split(short)
            if len(parts) > 1:
                yield from (unit.normalized_form() for unit in parts)

    name = f"ja:{RULES} sudachi {version('sudachipy')} small {version('sudachidict_small')}"
    return Words(name, run=_divided(_JAPANESE_RUN, morphemes))


def _divided(own: re.Pattern[str], words: Callable[[str], Iterable[str]]) -> Callable[[str], Iterable[str]]:
    """Terms of a run: of the characters of `own` by `words`, of others by pairs."""

    def terms(run: str) -> Iterator[str]:
        for number, part in enumerate(own.split(run)):
            if number % 2:
                for begin in range(0, len(part), _AT_ONCE):
                    yield from words(part[begin : begin + _AT_ONCE])
            elif part:
                yield from pairs(part)

    return terms
