"""Texts of policies with wildcards and variables: `*` is any text, `?` any one character, `${aws:username}` a value of
the request."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

__all__ = ["NotUnderstood", "Pattern", "Resolve", "glob"]

Resolve = Callable[[str], "str | None"]
"""The value of a condition key, None where the request has none. Raises NotUnderstood: there is no such key."""

_VARIABLE = re.compile(r"\$\{([^{}]*)\}")
_WITH_DEFAULT = re.compile(r"\s*([^,]*?)\s*,\s*'([^']*)'\s*$")
_PIECE = re.compile(r"[*?]|[^*?]+")
_LITERALS = ("*", "?", "$")
_CACHED = 1024


class NotUnderstood(Exception):
    """A part of a policy that means nothing here. It allows nothing, and what it denies is denied."""


class Pattern:
    """A text of a policy. Without `variables`, `${` has no meaning; without `wildcards`, `*` and `?` have none. `keys`
    are the condition keys whose values stand in it."""

    __slots__ = ("_parts", "keys", "text", "variables")

    def __init__(self, text: str, *, variables: bool = True, wildcards: bool = True) -> None:
        self.text, self.variables = text, variables
        # Wildcards are kept apart from text in which they only mean themselves: what a variable stands for is such.
        parts: list[tuple[str, str]] = []
        start = 0
        for found in _VARIABLE.finditer(text) if variables else ():
            parts += _pieces(text[start : found.start()], wildcards=wildcards)
            named = found[1]
            parts.append(("text" if named in _LITERALS else "variable", named))
            start = found.end()
        self._parts = tuple(parts + _pieces(text[start:], wildcards=wildcards))
        self.keys = tuple(_key_and_default(part)[0] for kind, part in self._parts if kind == "variable")

    def __repr__(self) -> str:
        return f"Pattern({self.text!r})"

    def matches(self, text: str, resolve: Resolve) -> bool:
        """Whether all of `text` is as the pattern says; False where a variable has no value and no default.

        Raises:
            NotUnderstood: it has a variable that there is not.
        """
        parts = self._resolved(resolve)
        return parts is not None and _matches(parts, text)

    def filled(self, resolve: Resolve) -> str | None:
        """The text with values in place of variables, where wildcards mean only themselves; None as for `matches`."""
        parts = self._resolved(resolve)
        return None if parts is None else "".join(part for _, part in parts)

    def _resolved(self, resolve: Resolve) -> tuple[tuple[str, str], ...] | None:
        if not self.keys:
            return self._parts
        parts = []
        for kind, part in self._parts:
            if kind == "variable":
                key, default = _key_and_default(part)
                value = resolve(key)
                if value is None and default is None:
                    return None
                parts.append(("text", default or "" if value is None else value))
            else:
                parts.append((kind, part))
        return tuple(parts)


def glob(pattern: str, text: str) -> bool:
    """Whether all of `text` is as `pattern` says, in which only `*` and `?` mean something else than themselves."""
    return _matches(tuple(_pieces(pattern, wildcards=True)), text)


def _pieces(text: str, *, wildcards: bool) -> list[tuple[str, str]]:
    if not wildcards:
        return [("text", text)] if text else []
    kinds = {"*": "many", "?": "one"}
    return [(kinds.get(piece, "text"), piece) for piece in _PIECE.findall(text)]


def _key_and_default(inner: str) -> tuple[str, str | None]:
    found = _WITH_DEFAULT.match(inner)
    return (found[1], found[2]) if found else (inner.strip(), None)


def _matches(parts: tuple[tuple[str, str], ...], text: str) -> bool:
    runs = _runs(parts)
    if len(runs) == 1:
        return runs[0].fullmatch(text) is not None
    # Between two stars the leftmost place is as good as any, so nothing is ever tried again: the time is no more than
    # the product of both lengths, whatever the pattern.
    found = runs[0].match(text)
    for run in runs[1:-1]:
        if found is None:
            return False
        found = run.search(text, found.end())
    if found is None:
        return False
    last = runs[-1]
    start = len(text) - last.length
    return start >= found.end() and last.fullmatch(text, start) is not None


class _Run:
    """A stretch of a pattern without a star: as long as what it matches."""

    __slots__ = ("fullmatch", "length", "match", "search")

    def __init__(self, parts: list[tuple[str, str]]) -> None:
        source = "".join("." if kind == "one" else re.escape(part) for kind, part in parts)
        compiled = re.compile(source, re.DOTALL)
        self.match, self.search, self.fullmatch = compiled.match, compiled.search, compiled.fullmatch
        self.length = sum(len(part) for _, part in parts)


@lru_cache(maxsize=_CACHED)
def _runs(parts: tuple[tuple[str, str], ...]) -> tuple[_Run, ...]:
    runs: list[list[tuple[str, str]]] = [[]]
    for part in parts:
        if part[0] == "many":
            runs.append([])
        else:
            runs[-1].append(part)
    return tuple(map(_Run, runs))
