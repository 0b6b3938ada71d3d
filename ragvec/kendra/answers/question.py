"""What a question asks for: its words, its numbers, and the kind of thing that would answer it."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

import msgspec

from ragvec.text.words import words

__all__ = ["Asked", "Wanted", "answers_kind", "asked", "terms_of"]

Wanted: TypeAlias = Literal["number", "duration", "time", "money", "person", "place", "reason", "decision", "steps", ""]
"""What a question asks for; empty where its words do not tell."""

_ASKS: tuple[tuple[Wanted, str], ...] = (
    ("reason", r"\bwhy\b|\bhow come\b|\bwhat(?:'s| is| was) the (?:reason|cause)\b"),
    ("money", r"\bhow much\b.{0,200}\b(?:pay|paid|cost|charge|give|claim|spend|price|get)\b"
     r"|\b(?:cost|price|fee|fare|allowance)s?\b|\bwhat do(?:es)? .{0,40}\b(?:charge|cost|pay)\b"
     r"|\b(?:money|salary|reward|in (?:euros?|pounds?|dollars?))\b"),
    ("duration", r"\bhow (?:long|soon|early|often|quick(?:ly)?|fast|old)\b|\bhow many (?:days|weeks|months|years|hours"
     r"|minutes)\b|\bfor how many\b"),
    ("time", r"\bwhen\b|\bby when\b|\b(?:what|which) (?:date|day|time|year|month|week|weekday)s?\b|\buntil what\b"),
    ("number", r"\bhow (?:many|much|far|deep|high|big|large|heavy|wide|tall|cold|hot|warm)\b|\bwhat (?:share|percent"
     r"(?:age)?|rate|number|limit|speed|height|temperature)\b"),
    ("person", r"\bwho(?:se|m)?\b|\bwhich (?:person|people|team|manager)\b"),
    ("place", r"\bwhere\b|\b(?:which|what) (?:room|site|city|country|place|floor|building|page|queue)\b"),
    ("steps", r"\bhow (?:do|can|should|would|to|does)\b|\bwhat (?:should|must|do|shall|am|can) (?:i|we|you)\b"
     r"|\bwhat now\b|\bwhat (?:is|are) (?:the )?(?:steps|procedure)\b|\bis there any way\b"),
    ("decision", r"^(?:so |and |but )?(?:can|could|may|do|does|did|is|are|am|was|were|will|would|should|must|has|have"
     r"|shall|need)\b|[.,?!:;] (?:can|could|may|do|does|did|is|are|am|was|were|will|would|should|must|has|have)\b"),
)  # fmt: skip
_ASKING_FORM = re.compile(
    r"\?|\b(?:who|whom|whose|what|when|where|which|why|how)\b|(?:^|[.,;:!] *)(?:so |and |but |or )?(?:is|are|am|was"
    r"|were|do|does|did|can|could|may|might|must|shall|should|will|would|has|have|had|need)\b",
    re.IGNORECASE,
)
_KINDS = tuple((kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _ASKS)

_UNIT_OF_TIME = r"(?:seconds?|minutes?|hours?|days?|nights?|weeks?|months?|quarters?|years?)"
_COUNT = (
    r"(?:\d[\d.,]*|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|twenty"
    r"|thirty|forty|fifty|sixty|ninety|hundred|half|a|an|each|every|once|twice)"
)
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:t(?:ember)?)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)"
)
_SHOWN = {
    "number": r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|half|no limit"
    r"|none|unlimited)\b",
    "duration": rf"\b{_COUNT}[ -](?:\w+ )?{_UNIT_OF_TIME}\b|\b(?:daily|weekly|monthly|yearly|immediately|at once|never"
    rf"|within|expires?)\b|\b\d{{1,2}}[:.]\d\d\b|\b\d{{1,2}} {_MONTH}\b",
    "time": rf"\b\d{{1,2}}(?:st|nd|rd|th)? {_MONTH}\b|\b{_MONTH} \d{{1,4}}\b|\b\d{{1,2}}[:.]\d\d\b|\b(?:19|20)\d\d\b"
    rf"|\b(?:mon|tues|wednes|thurs|fri|satur|sun)days?\b|\b{_COUNT}[ -](?:\w+ )?{_UNIT_OF_TIME}\b|\bby the \d"
    r"|\b(?:midnight|noon|christmas|easter)\b",
    "money": r"[£€$¥]|\b(?:GBP|EUR|CAD|USD|CHF|JPY)\b|\b\d[\d.,]* (?:pounds?|euros?|dollars?|pence|cents?)\b"
    r"|\bfree\b|\d ?%|\bper cent\b",
    "person": r"(?<![.!?:] )(?<!^)\b[A-Z][\w'’-]+ [A-Z][\w'’-]+|\b(?:manager|director|head|officer|owner|team|lead"
    r"|chief|counsel|engineer|department|partner|nobody|anyone|everyone|C[A-Z]O)s?\b",
    "place": r"\b(?:in|at|on|to|from|behind|beside|by|near|under|inside) (?:the )?[\w'’-]+|\b(?:floor|room|building"
    r"|street|site|office|page|folder|queue)\b",
    "reason": r"\b(?:because|since|so that|therefore|reason|caused?|as it|due to|in order|otherwise|which breaks"
    r"|would|led to|had been|without)\b",
    "decision": r"\b(?:no|not|never|nobody|none|yes|may|can|cannot|must|only|unless|except|allowed|forbidden|permitted"
    r"|possible|need|needs|required|always|any|if)\b|n[’']t\b",
    "steps": r"\b(?:send|open|call|ring|ask|tell|write|use|fill|submit|go|take|report|book|apply|choose|give|forward"
    r"|register|press|upload|enter|mark|form|ticket|queue|must|should|has to|have to|need)\b",
}  # fmt: skip
_EVIDENCE = {kind: re.compile(pattern, 0 if kind == "person" else re.IGNORECASE) for kind, pattern in _SHOWN.items()}

_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_WORDS = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
nineteen twenty
"""
_SPELLED = {word: str(value) for value, word in enumerate(_WORDS.split())}
_SPELLED |= {"thirty": "30", "forty": "40", "fifty": "50", "sixty": "60", "ninety": "90", "hundred": "100"}
_STEMS = """
mani much long often soon earli someth anyth happen want tell know pleas get got say put
"""
_ASKING = frozenset(_STEMS.split())
"""Stems of words with which one asks, but about which nothing is asked."""


class Asked(msgspec.Struct, frozen=True):
    """A question: the terms of its content, and what kinds of answer it wants, the likeliest first. `asks` is false of
    a text without the form of a question, such as a few words sought or a statement."""

    text: str
    asks: bool
    terms: frozenset[str]
    numbers: frozenset[str]
    wanted: tuple[Wanted, ...]


def asked(question: str) -> Asked:
    """What a question asks for; one without words has no terms."""
    terms = terms_of(question) - _ASKING
    numbers = frozenset(term for term in terms if term[:1].isdigit())
    kinds = tuple(kind for kind, pattern in _KINDS if pattern.search(question[:2000]))
    return Asked(question, _ASKING_FORM.search(question) is not None, terms - numbers, numbers, kinds)


def terms_of(text: str) -> frozenset[str]:
    """The stems of a text's words, stop words left out, and its numbers in digits, without commas between thousands."""
    terms = set()
    for word in words(text):
        raw = text[word.begin : word.end].lower()
        if raw in _SPELLED:
            terms.add(_SPELLED[raw])
        elif _NUMBER.fullmatch(raw):
            terms.add(raw.replace(",", ""))
        elif word.term:
            terms.add(word.term)
    return frozenset(terms)


def answers_kind(text: str, kind: Wanted) -> bool:
    """Whether a text has something of the kind that a question wants."""
    return kind != "" and _EVIDENCE[kind].search(text) is not None
