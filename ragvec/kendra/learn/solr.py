"""Synonym files in Solr's format: a rule a line, its terms divided by commas.

`dns, route 53` makes the terms interchangeable, `asg => auto scaling group` adds the right side to the left one's
queries and not the other way. `#` begins a comment line; a backslash takes the character after it as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from ragvec.errors import InvalidRequest
from ragvec.kendra.problems import shown

__all__ = ["Rule", "rules_of", "term_count"]

_PART = re.compile(r"\\(?P<escaped>.)|(?P<arrow>=>)|(?P<comma>,)|(?P<plain>.)", re.DOTALL)


class Rule(msgspec.Struct, frozen=True):
    """One line: each of the terms `left` brings all of `right`. In a rule without an arrow both sides are the same."""

    left: tuple[str, ...]
    right: tuple[str, ...]


def rules_of(text: str, *, path: str = "text") -> tuple[Rule, ...]:
    """The rules of a synonym file, in order. One that brings nothing new, such as `a => a`, is left out.

    Raises:
        InvalidRequest: a line is no rule; the message names it.
    """
    rules = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            rule = _rule(line, place=f"line {number} of `{path}`")
            if any(left.lower() != right.lower() for left in rule.left for right in rule.right):
                rules.append(rule)
    return tuple(rules)


def term_count(rules: tuple[Rule, ...]) -> int:
    """How many terms there are, as Kendra counts: terms that are looked for, in lower case, and terms that they bring
    as they stand."""
    return len({term.lower() for rule in rules for term in rule.left} | {term for rule in rules for term in rule.right})


def _rule(line: str, *, place: str) -> Rule:
    sides = [list(side) for side in _sides(line)]
    if len(sides) > 2 or not all(sides):
        raise InvalidRequest(
            f"Expected terms divided by commas, with at most one => between two lists of them, got {shown(line)} - at "
            f"{place}",
            path="text",
        )
    return Rule(tuple(dict.fromkeys(sides[0])), tuple(dict.fromkeys(sides[-1])))


def _sides(line: str) -> Iterator[list[str]]:
    """The lists of terms between arrows; empty terms are left out."""
    terms, term = [], ""
    for part in _PART.finditer(line):
        if part["arrow"] or part["comma"]:
            terms.append(term)
            term = ""
            if part["arrow"]:
                yield [" ".join(each.split()) for each in terms if each.strip()]
                terms = []
        else:
            term += part["escaped"] or part["plain"] or ""
    yield [" ".join(each.split()) for each in (*terms, term) if each.strip()]
