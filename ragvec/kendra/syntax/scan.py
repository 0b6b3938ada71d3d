"""A query's text divided into words, phrases, conditions on fields, operators and parentheses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

import msgspec

from ragvec.text.words import words

__all__ = ["Condition", "InvalidSyntax", "Token", "counted_words", "cut", "has_syntax", "scan"]

_NAME = re.compile(r"([a-zA-Z0-9_][a-zA-Z0-9_-]*):(?=[^\s:/\\)(])")
_COMPARISON = re.compile(r">=|<=|>|<")
_RUN = re.compile(r'[^\s()"]+')
_BRACKETS = {"[": "]", "{": "}"}
_RANGE = re.compile(r"\s*(\S+)\s+TO\s+(\S+)\s*")
_OPERATORS = frozenset({"AND", "OR", "NOT"})
_GLOB = re.compile(r"[\w'’]+\*[\w'’*]*")
_AFTER = ",;:!?."
_LEAST_PREFIX = 3
_LONGEST_RANGE = 256
_SIGNS = re.compile(r"[()\"*]|[a-zA-Z0-9_]:\S|(?<!\S)(?:AND|OR|NOT)(?!\S)")


class InvalidSyntax(Exception):
    """A query does not follow the syntax; the message tells how. It never leaves this package."""


class Condition(msgspec.Struct, frozen=True):
    """A condition on a field: its value, or how it compares with one, or two ends of a range.

    `operator` is empty for a value as such; for a range it is "[" or "{", by whether the ends belong to it.
    """

    name: str
    operator: Literal["", ">", ">=", "<", "<=", "[", "{"]
    value: str
    end: str = ""
    quoted: bool = False


class Token(msgspec.Struct, frozen=True):
    """A piece of a query. `text` is what it says, without quotation marks; `end` is where it ends in the query."""

    kind: Literal["word", "phrase", "glob", "field", "operator", "(", ")"]
    text: str
    end: int
    condition: Condition | None = None


def has_syntax(text: str) -> bool:
    """Whether anything in the text could be syntax; most questions have nothing."""
    return _SIGNS.search(text) is not None


def scan(text: str) -> Iterator[Token]:
    """The tokens of a query, left to right. Raises InvalidSyntax."""
    at = 0
    while at < len(text):
        character = text[at]
        if character.isspace():
            at += 1
        elif character in "()":
            at += 1
            yield Token("(" if character == "(" else ")", character, at)
        elif character == '"':
            phrase, at = _quoted(text, at)
            if _is_word(phrase):
                yield Token("phrase", phrase, at)
        elif (match := _NAME.match(text, at)) is not None:
            condition, at = _condition(text, match.group(1), match.end())
            yield Token("field", " ".join(filter(None, (condition.value, condition.end))), at, condition)
        else:
            match = _RUN.match(text, at)
            assert match is not None, "what is no space, parenthesis or quotation mark begins a run"
            at = match.end()
            token = _word(match.group(), at)
            if token is not None:
                yield token


def counted_words(text: str) -> int:
    """How many words of a text count towards the limit: those that are no stop words."""
    return sum(1 for word in words(text) if word.term)


def cut(tokens: list[Token], *, most: int | None) -> tuple[list[Token], int | None]:
    """The tokens up to the word that is the last to count, with what they leave open closed; and where in the query
    that word ends, None when nothing was cut."""
    counted = 0
    for number, token in enumerate(tokens):
        if most is None or token.kind in ("operator", "(", ")"):
            continue
        counted += counted_words(token.text)
        if counted > most:
            kept = tokens[:number]
            if token.kind in ("word", "phrase") and (begin := _up_to(token.text, most - counted)):
                kept.append(msgspec.structs.replace(token, text=begin))
            end = kept[-1].end if kept else 0
            return _closed(kept), end
    return tokens, None


def _up_to(text: str, surplus: int) -> str:
    """The text before the last -`surplus` words that count, empty when none is left before them."""
    found = [word for word in words(text) if word.term]
    return text[: found[surplus - 1].end] if len(found) > -surplus else ""


def _closed(tokens: list[Token]) -> list[Token]:
    kept = list(tokens)
    while kept and kept[-1].kind in ("operator", "("):
        kept.pop()
    depth = sum((token.kind == "(") - (token.kind == ")") for token in kept)
    return kept + [Token(")", ")", kept[-1].end)] * max(depth, 0) if kept else []


def _quoted(text: str, at: int) -> tuple[str, int]:
    """What stands between the quotation mark at `at` and the next, and where that ends."""
    end = text.find('"', at + 1)
    if end < 0:
        raise InvalidSyntax("a quotation mark is not closed")
    return text[at + 1 : end].strip(), end + 1


def _condition(text: str, name: str, at: int) -> tuple[Condition, int]:
    """The condition on a field whose value begins at `at`, and where it ends."""
    closing = _BRACKETS.get(text[at])
    if closing is not None:
        end = _range_end(text, at + 1)
        match = None if end < 0 or text[end] != closing else _RANGE.fullmatch(text, at + 1, end)
        if match is None:
            raise InvalidSyntax(f"the range of the field {name!r} is not [a TO b] or {{a TO b}}")
        return Condition(name, "[" if closing == "]" else "{", match.group(1), match.group(2)), end + 1
    comparison = _COMPARISON.match(text, at)
    operator = "" if comparison is None else comparison.group()
    at += len(operator)
    if at < len(text) and text[at] == '"':
        value, at = _quoted(text, at)
        quoted = True
    else:
        run = _RUN.match(text, at)
        value, at = ("", at) if run is None else (run.group().rstrip(",;?!").removesuffix("."), run.end())
        quoted = False
    if not value:
        raise InvalidSyntax(f"the field {name!r} has no value after it")
    return Condition(name, operator, value, quoted=quoted), at  # type: ignore[arg-type]  # one of those matched


def _range_end(text: str, at: int) -> int:
    """Where the next closing bracket of either kind is; -1 for nowhere near."""
    ends = [end for bracket in "]}" if (end := text.find(bracket, at, at + _LONGEST_RANGE)) >= 0]
    return min(ends, default=-1)


def _word(run: str, end: int) -> Token | None:
    """The token of a run of characters; None where no word is in it."""
    if run in _OPERATORS:
        return Token("operator", run, end)
    bare = run.strip(_AFTER)
    if _GLOB.fullmatch(bare):
        if len(bare.partition("*")[0]) < _LEAST_PREFIX:
            raise InvalidSyntax(f"{bare!r} has fewer than {_LEAST_PREFIX} characters before its *")
        return Token("glob", bare, end)
    return Token("word", run, end) if _is_word(run) else None


def _is_word(text: str) -> bool:
    return next(words(text), None) is not None
