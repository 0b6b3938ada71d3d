"""The arguments of text search in the Pythonic store, checked and brought into one form."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ragvec.api.requests import TextSearchConfiguration
from ragvec.engine.protocol import TextField, TextQuery
from ragvec.errors import InvalidRequest
from ragvec.search.fuse import Fusion, ReciprocalRank, WeightedSum

__all__ = ["to_fusion", "to_text_configurations", "to_texts"]

_FUSIONS: dict[str, Fusion] = {"rrf": ReciprocalRank(), "weighted": WeightedSum()}


def to_texts(
    text: str | Mapping[str, str],
    fields: Sequence[TextField],
    *,
    boosts: Mapping[str, float] | None = None,
    index: str = "",
) -> tuple[TextQuery, ...]:
    """What `text` seeks: a text in every one of the `fields`, or texts by key.

    Raises:
        InvalidRequest: there is no text field, a key is none, a text is not one, or a boost is not a number above 0.
    """
    there = [field.key for field in fields]
    if not there:
        raise InvalidRequest(
            f"Expected an index with text search, got {index!r}, which has none: add_text(key) gives it to a metadata "
            "key - at `text`",
            path="text",
        )
    if isinstance(text, str):
        wanted = dict.fromkeys(there, text)
    elif isinstance(text, Mapping) and text:
        wanted = dict(text)
    else:
        raise InvalidRequest(f"Expected a text, or texts by metadata key, got {text!r} - at `text`", path="text")
    for key, words in wanted.items():
        _check_key(key, there, "text")
        if not isinstance(words, str):
            raise InvalidRequest(f"Expected a text, got {words!r} - at `text[{key!r}]`", path="text")
    given = _to_boosts(boosts, list(wanted))
    return tuple(TextQuery(key, str.__str__(words), given.get(key, 1.0)) for key, words in wanted.items())


def to_fusion(fusion: Fusion | str | None) -> Fusion | None:
    """How rankings are to be fused: a value of `ragvec.search.fuse`, or "rrf" or "weighted"; None for the default.

    Raises InvalidRequest: it is neither.
    """
    if fusion is None or isinstance(fusion, (ReciprocalRank, WeightedSum)):
        return fusion
    found = _FUSIONS.get(fusion) if isinstance(fusion, str) else None
    if found is None:
        names = " or ".join(map(repr, _FUSIONS))
        raise InvalidRequest(
            f"Expected {names}, a ReciprocalRank or a WeightedSum, got {fusion!r} - at `fusion`", path="fusion"
        )
    return found


def to_text_configurations(
    text: str | Sequence[str] | Mapping[str, str | None] | None,
) -> list[TextSearchConfiguration]:
    """The text fields of an index to make: languages by metadata key, or keys alone.

    Raises InvalidRequest: it is something else.
    """
    if text is None:
        return []
    languages = dict(text) if isinstance(text, Mapping) else dict.fromkeys([text] if isinstance(text, str) else text)
    for key, language in languages.items():
        if not isinstance(key, str) or not isinstance(language, (str, type(None))):
            raise InvalidRequest(
                f"Expected languages by metadata key, such as {{'title': 'en'}}, got {text!r} - at `text`",
                path="text",
            )
    return [TextSearchConfiguration(metadata_key=key, language=language) for key, language in languages.items()]


def _to_boosts(boosts: Mapping[str, float] | None, keys: Sequence[str]) -> dict[str, float]:
    found = {}
    for key, boost in (boosts or {}).items():
        _check_key(key, keys, "boosts")
        found[key] = _positive(boost, f"boosts[{key!r}]")
    return found


def _check_key(key: Any, there: Sequence[str], place: str) -> None:
    if key not in there:
        known = ", ".join(map(repr, there))
        raise InvalidRequest(
            f"Expected a metadata key with text search: {known}; got {key!r} - at `{place}`", path=place
        )


def _positive(number: Any, place: str) -> float:
    plain = isinstance(number, (int, float)) and not isinstance(number, bool)
    if not plain or not 0 < number < math.inf:
        raise InvalidRequest(f"Expected a number above 0, got {number!r} - at `{place}`", path=place)
    return float(number)
