"""What an experiment compares: ways to make an index, and ways to ask it."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, get_args

import msgspec

from ragvec.errors import InvalidRequest
from ragvec.evaluation.rerankers import Reranker
from ragvec.search.fuse import Fusion

__all__ = ["Configuration", "Way", "digest_of", "grid"]

Way: TypeAlias = Literal["query", "hybrid", "dense", "text"]

_WAYS = get_args(Way)


class Configuration(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One way to answer the queries of a collection.

    `chunker` and `embedder` are as for the pipeline, and decide which index is made. `way` is how it is asked: "query"
    by the query layer, "hybrid", "dense" or "text" by the vector API, where the best passage stands for its document.
    `fusion` is of "hybrid", `effort` of all but "text" and "query"; `where` is a filter. A `reranker` orders the first
    `depth` passages or documents again.

    Raises:
        InvalidRequest: a setting has no meaning for this way.
    """

    name: str
    chunker: Any = None
    embedder: Any = None
    way: Way = "query"
    fusion: Fusion | str | None = None
    effort: float = 1.0
    where: Mapping[str, Any] | None = None
    reranker: Reranker | None = None
    depth: int = 50

    def __post_init__(self) -> None:
        if self.way not in _WAYS:
            raise InvalidRequest(f"Expected one of {', '.join(_WAYS)} as way, got {self.way!r}", path="way")
        if self.fusion is not None and self.way != "hybrid":
            raise InvalidRequest(f"Expected `fusion` with the way hybrid only, got {self.way}", path="fusion")
        if self.effort != 1.0 and self.way in ("text", "query"):
            raise InvalidRequest(
                f"Expected `effort` with the ways dense and hybrid only, got {self.way}", path="effort"
            )
        if self.depth < 1:
            raise InvalidRequest(f"Expected a depth of at least 1, got {self.depth}", path="depth")

    def __repr__(self) -> str:
        return f"Configuration({self.name!r})"

    def asking(self) -> dict[str, Any]:
        """What decides the answers of one index, as JSON has it: equal for equal answers."""
        return {
            "way": self.way,
            "fusion": None if self.fusion is None else repr(self.fusion),
            "effort": repr(self.effort),
            "where": None if self.where is None else repr(sorted(self.where.items(), key=repr)),
            "reranker": None if self.reranker is None else [self.reranker.name, self.depth],
        }


def grid(**settings: Sequence[Any] | Mapping[str, Any]) -> list[Configuration]:
    """A configuration for every combination of settings, the last one changing fastest.

    Each setting of `Configuration` is given as a list, or as a mapping from the name that tables show to the value:

        grid(embedder={"minilm": None, "hashing": "hashing:256"}, way=["dense", "hybrid"])

    Raises:
        InvalidRequest: a setting has no values, two have one name, or there is no such setting.
    """
    known = set(Configuration.__struct_fields__) - {"name"}
    choices: list[list[tuple[str, str, Any]]] = []
    for setting, values in settings.items():
        if setting not in known:
            raise InvalidRequest(f"Expected settings among {', '.join(sorted(known))}, got {setting!r}", path=setting)
        named = dict(values) if isinstance(values, Mapping) else {_label(value): value for value in values}
        if not named or len(named) < len(values):
            raise InvalidRequest(
                f"Expected values with names of their own for {setting!r}, got {', '.join(named) or 'none'}: give a "
                "mapping from name to value",
                path=setting,
            )
        choices.append([(setting, label, value) for label, value in named.items()])
    return [
        Configuration(
            name=" · ".join(label for _, label, _ in chosen) or "default",
            **{setting: value for setting, _, value in chosen},
        )
        for chosen in itertools.product(*choices)
    ]


def digest_of(*parts: Any) -> str:
    """16 hexadecimal digits that differ for different parts, which JSON has a form for."""
    return hashlib.blake2b(msgspec.json.encode(parts, order="sorted"), digest_size=8).hexdigest()


def _label(value: Any) -> str:
    if isinstance(value, str):
        return value
    return str(getattr(value, "name", None) or ("default" if value is None else value))
