"""What the processes of `tests.torture.processes` do: keys, versions, filters, points, and the choice of operations.

Whatever is stored is a function of its key and its version, and every write has a version of its own. So each record
that is read tells which write it comes from, and that all of it does.
"""

from __future__ import annotations

import random
import zlib
from typing import Any, TypeAlias

import numpy as np

__all__ = [
    "BUCKET",
    "DIMENSION",
    "EVERYTHING",
    "STABLE",
    "VOLATILE",
    "Operation",
    "Planner",
    "accepts",
    "attributes",
    "distance",
    "filter_of",
    "keys_of",
    "point",
]

BUCKET = "bucket"
STABLE = ("s0", "s1")
"""Indexes that are there all the time."""
VOLATILE = ("v0", "v1")
"""Indexes that are made and deleted again and again."""
DIMENSION = 4
EVERYTHING = 1000
"""More than an index holds: a query for so many reads all of it."""

Operation: TypeAlias = dict[str, Any]

_HOT = [f"h{n}" for n in range(6)]
_FAMILIES = [[f"f{family}-{n}" for n in range(4)] for family in range(3)]
_COLD = [f"c{n:02}" for n in range(40)]
_VERSIONS_OF_A_THREAD = 1_000_000
_THREADS = 10


def keys_of(index: str) -> list[str]:
    """All keys that are ever written to an index."""
    if index in VOLATILE:
        return [*_HOT[:2], *_FAMILIES[0]]
    return [*_HOT, *(key for family in _FAMILIES for key in family), *_COLD]


def attributes(key: str, version: int) -> dict[str, Any]:
    """The metadata of a version of a key."""
    found: dict[str, Any] = {"v": version, "g": version % 4, "kind": key[0]}
    return found | ({"fam": int(key[1])} if key[0] == "f" else {})


def point(key: str, version: int) -> list[float]:
    """The vector of a version of a key: whole numbers, so that distances can be computed exactly."""
    return [float(version % 97), float(version // 97 % 89), float(zlib.crc32(key.encode()) % 31), 1.0]


def distance(key: str, version: int, *, at: list[float]) -> float:
    """The float32 distance of a version of a key from a whole-numbered place."""
    square = sum((a - b) ** 2 for a, b in zip(point(key, version), at, strict=True))
    return float(np.float32(np.sqrt(square)))


def accepts(where: list[Any] | None, key: str, version: int) -> bool:
    """Whether a version of a key satisfies a filter."""
    if where is None:
        return True
    name, value = where
    found = attributes(key, version)
    if name == "from":
        return version >= int(value)
    if name == "cold g":
        return found["kind"] == "c" and bool(found["g"] == value)
    return name in found and bool(found[name] == value)


def filter_of(where: list[Any] | None) -> dict[str, Any] | None:
    """The filter as the store takes it."""
    if where is None:
        return None
    name, value = where
    if name == "from":
        return {"v": {"$gte": value}}
    if name == "cold g":
        return {"$and": [{"kind": "c"}, {"g": {"$in": [value]}}]}
    return {name: value}


class Planner:
    """The operations of one thread, chosen at random but the same for the same seed."""

    def __init__(self, seed: int, *, process: int, thread: int) -> None:
        self._random = random.Random(f"{seed}/{process}/{thread}")
        self._version = (process * _THREADS + thread) * _VERSIONS_OF_A_THREAD

    def chance(self, share: float) -> bool:
        """True in so many of all cases."""
        return self._random.random() < share

    def choose(self, *, among: list[Any]) -> Any:
        """One of them."""
        return self._random.choice(among)

    def next(self) -> Operation:
        """An operation; those on pages begin with the first page."""
        if self._random.random() < 0.22:
            return self._volatile(self._random.choice(VOLATILE))
        return self._stable(self._random.choices(STABLE, (3, 1))[0])

    def batch(self, index: str) -> Operation:
        """A put of several keys: a family, or some of the others."""
        chosen = self._random
        if chosen.random() < 0.4:
            keys = chosen.choice(_FAMILIES)
        else:
            keys = chosen.sample(_HOT + _COLD, chosen.randint(3, 10))
        return self._put(index, keys)

    def _put(self, index: str, keys: list[str]) -> Operation:
        self._version += 1
        return {"do": "put", "index": index, "keys": keys, "version": self._version}

    def _stable(self, index: str) -> Operation:
        chosen = self._random
        kinds: dict[str, float] = {
            "put one": 14, "batch": 18, "delete": 4, "delete family": 2, "delete_where": 3, "get": 14, "list": 4,
            "query all": 6, "query": 14, "page": 4, "count": 5, "stats": 3, "compact": 0.4, "optimize": 0.4,
            "close": 0.3,
        }  # fmt: skip
        kind = chosen.choices(list(kinds), list(kinds.values()))[0]
        if kind == "put one":
            return self._put(index, [chosen.choice(_HOT if chosen.random() < 0.8 else _COLD)])
        if kind == "batch":
            return self.batch(index)
        if kind == "delete":
            return {"do": "delete", "index": index, "keys": chosen.sample(_HOT + _COLD, chosen.choice([1, 1, 3]))}
        if kind == "delete family":
            return {"do": "delete", "index": index, "keys": chosen.choice(_FAMILIES)}
        if kind == "delete_where":
            where = chosen.choice([["cold g", chosen.randrange(4)], ["fam", chosen.randrange(3)]])
            return {"do": "delete_where", "index": index, "where": where}
        if kind == "get":
            every = keys_of(index)
            some = [
                chosen.sample(_HOT, 2) + chosen.choice(_FAMILIES),
                chosen.sample(_COLD, 5),
                chosen.sample(every, len(every)),
            ]
            keys = chosen.choice(some)
            return {"do": "get", "index": index, "keys": keys}
        return self._read(kind, index)

    def _read(self, kind: str, index: str) -> Operation:
        chosen = self._random
        where = chosen.choice([None, *[["g", g] for g in range(2)], ["kind", "f"], ["kind", "c"], ["fam", 1],
                               ["from", chosen.randrange(50) * _VERSIONS_OF_A_THREAD]])  # fmt: skip
        common = {"index": index, "where": where}
        at = [float(chosen.randrange(97)), float(chosen.randrange(89)), float(chosen.randrange(31)), 1.0]
        if kind == "list":
            return {"do": "list", **common, "size": chosen.randint(5, 30), "after": None}
        if kind == "query all":
            return {"do": "query", **common, "at": at, "k": EVERYTHING, "effort": chosen.choice([1.0, None])}
        if kind == "query":
            return {
                "do": "query",
                **common,
                "at": at,
                "k": chosen.choice([1, 5, 10]),
                "effort": chosen.choice([1.0, None]),
            }
        if kind == "page":
            return {"do": "page", **common, "at": at, "k": 40, "size": chosen.randint(4, 15), "offset": 0}
        if kind == "count":
            return {"do": "count", **common}
        return {"do": kind, "index": index}

    def _volatile(self, index: str) -> Operation:
        chosen = self._random
        kind = chosen.choices(
            ["create", "drop", "put one", "put family", "delete", "get", "list", "query all", "page"],
            [5, 3, 5, 5, 2, 8, 3, 3, 3],
        )[0]
        if kind == "put one":
            return self._put(index, [chosen.choice(_HOT[:2])])
        if kind == "put family":
            return self._put(index, _FAMILIES[0])
        if kind == "delete":
            return {"do": "delete", "index": index, "keys": chosen.choice([_HOT[:1], _FAMILIES[0]])}
        if kind == "get":
            return {"do": "get", "index": index, "keys": [chosen.choice(_HOT[:2]), *_FAMILIES[0]]}
        if kind == "list":
            return {"do": "list", "index": index, "where": None, "size": 2, "after": None}
        if kind == "page":
            at = [float(chosen.randrange(97)), 0.0, 0.0, 1.0]
            return {"do": "page", "index": index, "where": None, "at": at, "k": 10, "size": 2, "offset": 0}
        return self._read(kind, index) if kind == "query all" else {"do": kind, "index": index}
