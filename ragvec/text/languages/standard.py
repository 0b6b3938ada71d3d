"""Terms of text in any language: words in folded case, and characters by pairs where no space divides words.

What every language shares is here: where words begin and end, codes, lengths, caches. A language brings what it does
with a word (its stem) and with a run of characters without spaces (its segmentation).

- A word is what `ragvec.text.words` says: letters and digits with their marks, an apostrophe inside a word, points and
  commas inside a number. Everything else divides words.
- Case is folded and compatibility forms are replaced (NFKC, full case folding, characters that cannot be seen left
  out), so `ＡＢＣ`, `abc` and `ABC` are one term, as are `ﾊﾟﾝ` and `パン`, `Straße` and `STRASSE`.
- Parts that are joined by one hyphen, underscore, point, slash, colon or `@` are terms of their own; if there is a
  digit, an underscore or an `@` among them, then so is the whole without its joints: `AB-1234` gives `ab`, `1234` and
  `ab1234`. So a code is found as it is written, with other joints or none, and best where all of it stands.
- A run of an unspaced script gives its overlapping pairs of characters, because these tell words apart that share
  characters, and each Han character besides, so that a question of one character has an answer.
- A term has at most 255 bytes of UTF-8; of a longer one only the beginning counts.
- Nothing is left out for being frequent.

The terms of a text are the same on every Python: letters that came with Unicode 14 or later, which Python 3.10 does not
know, divide words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, pairwise

from ragvec.text.words import SPACED, UNSPACED

__all__ = ["HAN", "LONGEST", "RULES", "Words", "folded", "pairs", "short"]

RULES = 1
"""Version of the rules here and in the languages: to be raised with every change that alters a term."""

LONGEST = 255
"""Bytes of UTF-8 in the longest term."""

_TOKEN = re.compile(rf"(?P<run>[{UNSPACED}]+)|{SPACED}")
_JOINTS = frozenset("-_./:@\u2010\u2011")
_JOINT = re.compile("[-_./:@\u2010\u2011]")
_CODE = re.compile(r"[\d_@]")
_HIDDEN = re.compile("[\u00ad\u034f\u180b-\u180d\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff]")
_LATER = re.compile(
    "[\u0558\u058b\u058c\u0870-\u088f\u08b5\u08c8\u08c9\u0c5c\u0c5d\u0cdc\u0cdd\u170d\u171f\u1b4c\u1c89\u1c8a\u208f"
    "\u209d-\u209f\u2c2f\u2c5f\ua7c0\ua7c1\ua7cb-\ua7f4\uab6c\uab6d\U00010570-\U000105f3\U00010780-\U000107bf"
    "\U00010940-\U00010959\U00010d40-\U00010d85\U00010ec2-\U00010eee\U00010f70-\U00010f81\U00011071-\U00011075"
    "\U0001123f\U00011240\U00011380-\U000113d3\U000116d0-\U000116e3\U00011740-\U00011746\U00011ab0-\U00011abf"
    "\U00011b0a-\U00011bf9\U00011db0-\U00011df1\U00011f02-\U00011f59\U0001246f\U00012475-\U0001247f"
    "\U00012550-\U00012ff0\U0001342f\U00013441-\U000143fa\U00016100-\U00016139\U00016a70-\U00016ac9"
    "\U00016d40-\U00016d79\U00016ea0-\U00016ed3\U00016ff2-\U00016ff6\U000187f8-\U000187ff\U00018cd6-\U00018cff"
    "\U00018d09-\U0001affe\U0001b11f-\U0001b132\U0001b155\U0001b168\U0001ccf0-\U0001ccf9\U0001d2c0-\U0001d2d3"
    "\U0001d6a6\U0001df00-\U0001dfff\U0001e030-\U0001e06d\U0001e290-\U0001e2ad\U0001e4d0-\U0001e7fe]"
)
"""Letters and digits of Unicode 14 to 18, with the unassigned places between them."""

# Normalising sorts the marks of a character, in the square of their number: no piece may hold many. It ends before a
# character to which a mark belongs.
_PIECE = re.compile("(?s:.){1,112}[\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1-\u0ece\u3099\u309a\uff9e\uff9f]{0,16}")
HAN = "\u2e80-\u2fdf\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Han characters, as the inside of a regular expression's class."""
_HAN = re.compile(f"[{HAN}]")

_AROUND = ".,;:!?()[]{}\"'"
"""Signs that often stand around a word."""
_CHUNK = 64
"""Characters of the longest stretch without white space whose terms are remembered."""
_CHUNKS = 1 << 17
"""How many stretches, and how many words, are remembered: some tens of megabytes at most."""
_LIGHT = 0.5
"""Chosen on SciFact's training questions (nDCG@10 0.6985 with repeated terms at full weight, 0.7062 so)."""
_LARGE = 1 << 20
"""A text of more characters is not divided at once."""
_BLACK = re.compile(r"\S+")


def folded(word: str) -> str:
    """The word in folded case and without compatibility forms, apostrophes plain."""
    if word.isascii():
        return word.lower()
    kept = _HIDDEN.sub("", word)
    kept = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", kept).casefold())
    # Of the capital with a dot, which other languages than Turkish have from names, remains a dot above.
    return kept.replace("\u2019", "'").replace("\u02bc", "'").replace("i\u0307", "i")


def pairs(run: str) -> Iterator[str]:
    """Overlapping pairs of neighbouring characters, and each Han character; a single character of any script."""
    if len(run) == 1:
        return iter(run)
    return chain(map("".join, pairwise(run)), _HAN.findall(run))


def _same(word: str) -> Sequence[str]:
    return (word,)


class Words:
    """An analyzer of text in which spaces divide words, and of runs without. For any thread.

    `word` makes terms of a folded word, `run` of a run of characters without spaces in normal form (NFKC). The words of
    `light` count half in a question.
    """

    def __init__(
        self,
        name: str,
        *,
        word: Callable[[str], Sequence[str]] = _same,
        run: Callable[[str], Iterable[str]] = pairs,
        light: Iterable[str] = (),
    ) -> None:
        self.name = name
        self._word = lru_cache(maxsize=_CHUNKS)(word)
        self._run = run
        self._known = lru_cache(maxsize=_CHUNKS)(self._analyzed)
        self._light = frozenset(term for word in light for term in self.tokens(word))

    def __repr__(self) -> str:
        return f"Words({self.name!r})"

    def tokens(self, text: str) -> list[str]:
        """The terms of a text, repeated as they are; parts of a code before the whole of it."""
        found: list[str] = []
        known = self._known
        for chunk in text.split() if len(text) <= _LARGE else (match.group() for match in _BLACK.finditer(text)):
            found += known(chunk) if len(chunk) <= _CHUNK else self._terms(chunk)
        return found

    def query(self, text: str) -> dict[str, float]:
        """The terms of a question with their weights: 1 for each however often it occurs, half for a light word."""
        return {term: _LIGHT if term in self._light else 1.0 for term in self.tokens(text)}

    def _analyzed(self, chunk: str) -> tuple[str, ...]:
        bare = chunk.strip(_AROUND)
        if bare.isascii() and bare.isalnum():
            return tuple(map(short, self._word(bare.lower())))
        return tuple(self._terms(chunk))

    def _terms(self, chunk: str) -> Iterator[str]:
        if not chunk.isascii():
            chunk = _LATER.sub(" ", chunk.replace("\u00ad", ""))
        joined = _JOINT.search(chunk) is not None
        code: list[str] = []
        begin = end = -1
        for match in _TOKEN.finditer(chunk):
            if match.lastgroup:
                yield from self._unspaced(match.group())
                continue
            words = _spaced(match.group())
            for word in words:
                yield from map(short, self._word(word))
            if joined:
                if end < 0 or match.start() != end + 1 or chunk[end] not in _JOINTS:
                    yield from self._whole(chunk[begin:end], code)
                    begin, code = match.start(), []
                code += words
                end = match.end()
        if joined:
            yield from self._whole(chunk[begin:end], code)

    def _whole(self, written: str, parts: Sequence[str]) -> Iterable[str]:
        """The term of a code as a whole, none if it is an ordinary compound."""
        if len(parts) < 2 or len(written) > LONGEST or not _CODE.search(written):
            return ()
        return map(short, self._word("".join(parts).replace(".", "").replace(",", "")))

    def _unspaced(self, run: str) -> Iterable[str]:
        normal = "".join(unicodedata.normalize("NFKC", piece) for piece in _PIECE.findall(run))
        for part in _TOKEN.finditer(normal) if normal != run else (None,):
            if part is None or part.lastgroup:
                yield from map(short, self._run(part.group() if part is not None else run))


def _spaced(written: str) -> Sequence[str]:
    """The folded words of what was written as one: more than one if a character stands for several words."""
    written = written[:LONGEST]
    if written.isascii():
        return (written.lower(),)
    word = folded(written)
    match = _TOKEN.match(word)
    if match is not None and match.end() == len(word):
        return (word,)
    return [match.group() for match in _TOKEN.finditer(word)]


def short(term: str) -> str:
    """The term, or so much of its beginning as has 255 bytes."""
    if len(term) * 3 <= LONGEST or len(data := term.encode()) <= LONGEST:
        return term
    return data[:LONGEST].decode(errors="ignore")
