"""The advanced query syntax: what a query's text demands, and the words by which to rank.

    ferry AND bicycle          both words                  "day pass" ferry     the phrase; `ferry` for ranking alone
    ferry OR tram              at least one                cycl*                a word that begins so
    ferry NOT freight          the first without the other status:open          the field has this value
    (ferry OR tram) AND pass   grouped                     year:>=2020  year:[2019 TO 2021]  year:{2019 TO 2021}

NOT binds first, then AND, then OR, left to right. `a AND NOT b` is `a NOT b`. Words side by side are for ranking, none
is demanded; in parentheses beside an operator, one of them is. What else stands alone, phrases, fields, wildcards and
groups of these, is demanded. Operators are in capitals. A query that breaks the syntax, or names a field that the index
does not have, is read as plain words, with a warning.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ragvec.filters.nodes import EVERYTHING, And, Filter
from ragvec.kendra.attributes import Schema
from ragvec.kendra.limits import Limits
from ragvec.kendra.syntax.fields import field_filter
from ragvec.kendra.syntax.scan import InvalidSyntax, Token, cut, has_syntax, scan
from ragvec.kendra.syntax.tree import Attribute, Demand, Every, Phrase, Some, Unless, Wildcard, Word
from ragvec.text.words import words

__all__ = ["ParsedQuery", "cut_words", "read"]

_DEEPEST = 32
_MOST_TERMS = 256
"""Words, phrases and fields in one query with operators; each is sought for itself."""
_WARNING_LENGTH = 2048


class ParsedQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A query read.

    `plain` are the words for ranking, empty when there are none: then what satisfies the rest is found unranked.
    `where` is demanded of the attributes of documents, `terms` of their text too (`restrict` makes both one filter),
    and `phrases` are among it. `warnings` tell what is wrong with the syntax; the query is then read as plain words.
    `dropped` tells that words beyond the limit were left out.
    """

    plain: str
    where: Filter = EVERYTHING
    terms: Demand | None = None
    phrases: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    dropped: bool = False

    @property
    def restricts(self) -> bool:
        """Whether anything is demanded."""
        return self.terms is not None or self.where != EVERYTHING


def read(text: str, schema: Schema, *, limits: Limits) -> ParsedQuery:
    """What the text of a query asks for, in an index with these fields. Never raises for any text."""
    if not has_syntax(text):
        return _plain(text, limits=limits)
    try:
        tokens, end = cut(list(scan(text)), most=limits.token_words)
        if all(token.kind == "word" for token in tokens):
            return _plain(text, limits=limits)
        parser = _Parser(tokens, schema)
        found = parser.sequence(depth=0)
        if parser.at < len(tokens):
            raise InvalidSyntax("a parenthesis is closed that was not opened")
    except InvalidSyntax as problem:
        message = f"The query is read as plain words: {problem}"
        return msgspec.structs.replace(_plain(text, limits=limits), warnings=(message[:_WARNING_LENGTH],))
    demands = [part for demand in found.demands for part in (demand.parts if isinstance(demand, Every) else (demand,))]
    conditions = [part.where for part in demands if isinstance(part, Attribute)]
    terms = [part for part in demands if not isinstance(part, Attribute)]
    return ParsedQuery(
        plain=" ".join(found.words),
        where=EVERYTHING if not conditions else conditions[0] if len(conditions) == 1 else And(tuple(conditions)),
        terms=None if not terms else terms[0] if len(terms) == 1 else Every(tuple(terms)),
        phrases=tuple(found.phrases),
        dropped=end is not None,
    )


def cut_words(text: str, *, limits: Limits) -> str:
    """The text up to the last word that counts: all of it, or `limits.token_words` words that are no stop words."""
    if limits.token_words is None:
        return text
    counted = 0
    last = 0
    for word in words(text):
        if word.term:
            counted += 1
            if counted > limits.token_words:
                return text[:last]
            last = word.end
    return text


def _plain(text: str, *, limits: Limits) -> ParsedQuery:
    kept = cut_words(text, limits=limits)
    return ParsedQuery(plain=kept, dropped=len(kept) < len(text))


class _Found:
    """What a sequence of terms gives: demands, words for ranking, and the phrases among the demands."""

    def __init__(self) -> None:
        self.demands: list[Demand] = []
        self.words: list[str] = []
        self.phrases: list[str] = []

    def add(self, other: _Found) -> None:
        self.demands += other.demands
        self.words += other.words
        self.phrases += other.phrases

    def operand(self) -> Demand:
        """This as a part of something with operators: its demands, or one of its words where it has none."""
        if self.demands:
            return self.demands[0] if len(self.demands) == 1 else Every(tuple(self.demands))
        if not self.words:
            raise InvalidSyntax("there is nothing in a pair of parentheses beside an operator")
        return Word(self.words[0]) if len(self.words) == 1 else Some(tuple(map(Word, self.words)))


class _Parser:
    """Goes through the tokens once."""

    def __init__(self, tokens: Sequence[Token], schema: Schema) -> None:
        self.tokens, self.schema = tokens, schema
        self.at = 0
        self.terms = 0

    def sequence(self, *, depth: int) -> _Found:
        """What stands side by side, up to a closing parenthesis or the end."""
        if depth > _DEEPEST:
            raise InvalidSyntax(f"parentheses are nested deeper than {_DEEPEST}")
        found = _Found()
        while self.at < len(self.tokens) and self.tokens[self.at].kind != ")":
            found.add(self.chain(depth=depth))
        return found

    def chain(self, *, depth: int) -> _Found:
        """One term, or several with operators between them."""
        operands = [self.term(depth=depth)]
        operators: list[str] = []
        while self.at < len(self.tokens) and self.tokens[self.at].kind == "operator":
            operators.append(self.operator())
            operands.append(self.term(depth=depth))
        if not operators:
            return operands[0]
        self.terms += len(operands)
        if self.terms > _MOST_TERMS:
            raise InvalidSyntax(f"there are more than {_MOST_TERMS} terms with operators")
        chained = _Found()
        chained.demands = [_combined([operand.operand() for operand in operands], operators)]
        for operand, operator in zip(operands, ["", *operators], strict=True):
            if operator != "NOT":
                chained.words += operand.words
                chained.phrases += operand.phrases
        return chained

    def operator(self) -> str:
        operator = self.tokens[self.at].text
        self.at += 1
        after = self.tokens[self.at] if self.at < len(self.tokens) else None
        if operator == "AND" and after is not None and after.kind == "operator" and after.text == "NOT":
            self.at += 1
            return "NOT"
        return operator

    def term(self, *, depth: int) -> _Found:
        """A word, phrase, wildcard, field or group."""
        if self.at == len(self.tokens) or self.tokens[self.at].kind in ("operator", ")"):
            after = "" if not self.at else f" after {self.tokens[self.at - 1].text}"
            raise InvalidSyntax(f"an operator has no term beside it{after}")
        token = self.tokens[self.at]
        self.at += 1
        if token.kind == "(":
            found = self.sequence(depth=depth + 1)
            if self.at == len(self.tokens):
                raise InvalidSyntax("a parenthesis is not closed")
            self.at += 1
            return found
        found = _Found()
        if token.kind == "word":
            found.words.append(token.text)
            return found
        self.terms += 1
        if self.terms > _MOST_TERMS:
            raise InvalidSyntax(f"there are more than {_MOST_TERMS} phrases, fields and wildcards")
        if token.kind == "phrase":
            found.words.append(token.text)
            found.phrases.append(token.text)
            found.demands.append(Phrase(token.text))
        elif token.kind == "glob":
            found.demands.append(Wildcard(token.text))
        else:
            assert token.condition is not None
            found.demands.append(Attribute(field_filter(token.condition, schema=self.schema)))
        return found


def _combined(operands: Sequence[Demand], operators: Sequence[str]) -> Demand:
    """The operands under their operators: NOT binds first, then AND, then OR."""
    some: list[Demand] = []
    every: list[Demand] = [operands[0]]
    for operator, operand in zip(operators, operands[1:], strict=True):
        if operator == "NOT":
            every[-1] = Unless(every[-1], operand)
        elif operator == "AND":
            every.append(operand)
        else:
            some.append(every[0] if len(every) == 1 else Every(tuple(every)))
            every = [operand]
    some.append(every[0] if len(every) == 1 else Every(tuple(every)))
    return some[0] if len(some) == 1 else Some(tuple(some))
