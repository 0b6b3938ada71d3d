"""Where sentences begin, near enough for cutting texts: by punctuation, with the commonest abbreviations known."""

from __future__ import annotations

import re

__all__ = ["sentence_starts"]

_SHORT = """
al approx art ca cap cf ch co corp dept dr ed eds eq eqs est etc fig figs hr inc jr ltd min mr mrs ms nr op p para pp
prof ref refs rev sec sr st tel vol vs
"""
_ABBREVIATIONS = frozenset(_SHORT.split())
# Every repetition is bounded, so that a text of a million dots takes no longer than any other.
_BOUNDARY = re.compile(
    r"(?P<stop>[.!?…]{1,8}[\"'”’»)\]]{0,4})\s+(?=[\"'“‘«(\[¿¡]*[^\W_])"  # a stop, white space, a letter or digit
    r"|[。！？]{1,8}[”’」』）]{0,4}\s*(?=\S)"
)
_LAST_WORD = re.compile(r"([^\W\d_]+(?:\.[^\W\d_]+)*)$")


def sentence_starts(text: str, begin: int, end: int) -> list[int]:
    """The offsets in `[begin, end)` at which a sentence begins; the first one is always `begin`."""
    starts = [begin]
    for match in _BOUNDARY.finditer(text, begin, end):
        if match.end() < end and (match["stop"] is None or _ends_sentence(text, match, begin)):
            starts.append(match.end())
    return starts


def _ends_sentence(text: str, match: re.Match[str], begin: int) -> bool:
    if match["stop"] != ".":
        return True
    following = text[match.end()]
    if following.islower():
        return False
    word = _LAST_WORD.search(text, max(begin, match.start() - 20), match.start())
    if word is None:
        return True
    last = word[1]
    # An initial ("J. Smith"), or letters with stops between them ("e.g. Porto").
    return not (len(last) == 1 or "." in last or last.lower() in _ABBREVIATIONS)
