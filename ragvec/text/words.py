"""Words of a text with their places, and the stems by which a query word finds its other forms.

Scripts that write no space between words (Chinese, Japanese, Thai and others) have no word boundaries to go by: there
each character is a word of its own, and a query is compared by its pairs of neighbouring characters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

import msgspec

__all__ = [
    "SPACED",
    "STOP_WORDS",
    "UNSPACED",
    "Terms",
    "Word",
    "occurrences",
    "query_terms",
    "stem",
    "unspaced",
    "words",
]

UNSPACED = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3040-\u312f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff66-\uff9f\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\U00020000-\U0003ffff"
)
"""Characters of scripts written without spaces, as the inside of a regular expression's class: Han, kana, bopomofo,
Thai, Lao, Myanmar, Khmer. Korean has spaces and is not among them."""

# Marks that `\w` leaves out although they belong to the letter before them (accents, vowel signs, joiners).
_MARKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf\u05c1\u05c2\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed\u0711"
    "\u0730-\u074a\u0900-\u0963\u0981-\u09e3\u0a01-\u0dff\u135d-\u135f\u200c\u200d\ufe00-\ufe0f"
)
_LETTER = rf"[^\W_{UNSPACED}]"
_INSIDE = rf"[{_MARKS}]+|['\u2019](?={_LETTER})|(?<=\d)[.,](?=\d)"
# The bound keeps what `re` remembers of one match small; nobody writes a word of more parts.
SPACED = rf"{_LETTER}+(?:(?:{_INSIDE}){_LETTER}*){{0,120}}"
"""A word of a script with spaces, as a regular expression without groups that count: letters, digits and their marks,
with apostrophes inside words and points and commas inside numbers."""
_WORD = re.compile(rf"(?P<unspaced>[{UNSPACED}])|{SPACED}")
_RUN = re.compile(f"[{UNSPACED}]+")

_ENGLISH = """
a about above after again against all am an and any are aren't as at be because been before being below between both
but by can can't cannot could couldn't did didn't do does doesn't doing don't down during each either etc few for from
further had hadn't has hasn't have haven't having he he'd he'll he's hence her here here's hers herself him himself his
how how's however i i'd i'll i'm i've if in into is isn't it it'd it'll it's its itself just let's many may me might
mine more most much must mustn't my myself neither no nor not of off on once one only onto or other others ought our
ours ourselves out over own please same shall she she'd she'll she's should shouldn't since so some such than that
that's the their theirs them themselves then there there's therefore these they they'd they'll they're they've this
those though through thus to too under until up upon us very via was wasn't we we'd we'll we're we've were weren't what
what's when when's where where's whether which while who who's whom whose why why's will with within without won't
would wouldn't yet you you'd you'll you're you've your yours yourself yourselves
"""
STOP_WORDS = frozenset(_ENGLISH.split())
"""English words that carry no subject: never highlighted, and of no weight when an excerpt is chosen."""


class Word(msgspec.Struct, frozen=True, gc=False):
    """A word at `[begin, end)`, in characters (code points) of its text; `term` is its stem, empty for a stop word."""

    begin: int
    end: int
    term: str


class Terms(msgspec.Struct, frozen=True):
    """What a query looks for: stems of spaced words, and runs of one or two characters of unspaced scripts."""

    stems: frozenset[str]
    runs: frozenset[str]

    def __bool__(self) -> bool:
        return bool(self.stems or self.runs)


def unspaced(character: str) -> bool:
    """Whether `character` belongs to a script that is written without spaces between words."""
    return _RUN.match(character) is not None


def _fold(word: str) -> str:
    """Lower case without accents; the typographic apostrophe becomes the plain one."""
    folded = unicodedata.normalize("NFKD", word).casefold()
    return "".join(c for c in folded if not unicodedata.combining(c)).replace("\u2019", "'")


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """The stem of an English word by the Porter2 algorithm, case and accents ignored; empty for a stop word."""
    folded = _fold(word)
    if folded in STOP_WORDS:
        return ""
    from Stemmer import Stemmer

    # One for each word: a stemmer keeps state between its steps, and threads share this cache.
    return str(Stemmer("english", 0).stemWord(folded))


def words(text: str) -> Iterator[Word]:
    """The words of `text` from left to right.

    Hyphens and underscores divide words; an apostrophe inside a word and a point or comma between digits do not.
    """
    for match in _WORD.finditer(text):
        found = match.group()
        yield Word(match.start(), match.end(), found if match.lastgroup else stem(found))


def occurrences(text: str, terms: Terms) -> Iterator[Word]:
    """Every place of `text` where one of the terms stands, left to right; pairs of unspaced characters may overlap."""
    # A stem begins as its word does, so most words need not be stemmed to be passed over.
    initials = {stem[0] for stem in terms.stems}
    for match in _WORD.finditer(text):
        begin, end = match.span()
        if match.lastgroup:
            for stop in (end, end + 1):
                if stop <= len(text) and text[begin:stop] in terms.runs:
                    yield Word(begin, stop, text[begin:stop])
            continue
        initial = text[begin].lower()
        if initial in initials or not initial.isascii():
            term = stem(match.group())
            if term in terms.stems:
                yield Word(begin, end, term)


def query_terms(text: str) -> Terms:
    """What to look for on behalf of the query `text`; a query of stop words alone has no terms."""
    stems = {word.term for word in words(text) if not unspaced(text[word.begin])}
    runs: set[str] = set()
    for run in _RUN.findall(text):
        runs.update(map("".join, pairwise(run)) if len(run) > 1 else run)
    return Terms(frozenset(stems - {""}), frozenset(runs))
