"""Operators of conditions: how a value of the request is compared with one of the policy."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import math
import re
from collections.abc import Callable
from datetime import datetime, timezone
from functools import lru_cache

import msgspec

from ragvec.server.policy.patterns import NotUnderstood, Pattern, Resolve

__all__ = ["NULL", "Operator", "operator"]

NULL = "Null"

_Compare = Callable[[str, Pattern, Resolve], bool]


class Operator(msgspec.Struct, frozen=True, kw_only=True):
    """An operator as it stands in a policy. `compare` tells whether a value of the request and one of the policy fit;
    with `negated`, the condition holds where none fit. `quantifier` is "all", "any" or "", `optional` that a key
    without a value satisfies it."""

    name: str
    compare: _Compare | None
    negated: bool = False
    quantifier: str = ""
    optional: bool = False
    check: Callable[[str], object] | None = None
    """Raises ValueError for a value of the policy that the operator cannot compare."""
    wildcards: bool = False


def operator(text: str) -> Operator | None:
    """The operator that a policy writes so; None: there is none. The case of letters does not matter."""
    name, quantifier, optional = text, "", False
    for prefix, kind in _QUANTIFIERS.items():
        if name.lower().startswith(prefix):
            name, quantifier = name[len(prefix) :], kind
    for suffix in ("ifexists", "_if_exist"):
        if name.lower().endswith(suffix):
            name, optional = name[: -len(suffix)], True
    base = _BY_NAME.get(name.lower())
    if base is None or (base.compare is None and (quantifier or optional)):
        return None
    return msgspec.structs.replace(base, name=text, quantifier=quantifier, optional=optional)


_QUANTIFIERS = {"forallvalues:": "all", "foranyvalue:": "any", "for_all_value:": "all", "for_any_value:": "any"}


def _text(value: str, pattern: Pattern, resolve: Resolve) -> bool:
    return pattern.filled(resolve) == value


def _text_any_case(value: str, pattern: Pattern, resolve: Resolve) -> bool:
    filled = pattern.filled(resolve)
    return filled is not None and filled.casefold() == value.casefold()


def _like(value: str, pattern: Pattern, resolve: Resolve) -> bool:
    return pattern.matches(value, resolve)


_COLON = re.compile(r":(?![^{}]*\})")
"""One that is not in the name of a variable."""


def _arn(value: str, pattern: Pattern, resolve: Resolve) -> bool:
    # Each of the six parts by itself: no wildcard reaches over a colon, except in the last part.
    wanted, got = _COLON.split(pattern.text, 5), value.split(":", 5)
    return len(wanted) == len(got) == 6 and all(
        Pattern(each, variables=pattern.variables).matches(part, resolve)
        for each, part in zip(wanted, got, strict=True)
    )


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("no finite number")
    return value


_ISO = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,6}\d*)?)?)?(Z|[+-]\d\d:?\d\d)?")


@lru_cache(maxsize=1024)
def _moment(text: str) -> float:
    """Epoch seconds of a time in ISO 8601, or of epoch seconds."""
    if re.fullmatch(r"-?\d+(\.\d+)?", text) and not re.fullmatch(r"\d{4}", text):
        return float(text)
    if not _ISO.fullmatch(text):
        raise ValueError("no time in ISO 8601")
    shortened = re.sub(r"\.(\d{1,6})\d*", lambda found: "." + found[1].ljust(6, "0"), text).replace("Z", "+00:00")
    moment = datetime.fromisoformat(re.sub(r"([+-]\d\d)(\d\d)$", r"\1:\2", shortened) if "T" in text else shortened)
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()


def _flag(text: str) -> bool:
    lowered = text.lower()
    if lowered not in ("true", "false"):
        raise ValueError("neither true nor false")
    return lowered == "true"


@lru_cache(maxsize=4096)
def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text, strict=False)


@lru_cache(maxsize=4096)
def _host(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(text)


def _address(value: str, pattern: Pattern, resolve: Resolve) -> bool:
    filled = pattern.filled(resolve)
    return filled is not None and _host(value) in _network(filled)


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("no base64") from error


def _binary(value: str, pattern: Pattern, resolve: Resolve) -> bool:
    filled = pattern.filled(resolve)
    return filled is not None and _bytes(filled) == value.encode()


def _by(read: Callable[[str], float], compare: Callable[[float, float], bool]) -> _Compare:
    def compared(value: str, pattern: Pattern, resolve: Resolve) -> bool:
        filled = pattern.filled(resolve)
        if filled is None:
            return False
        wanted = read(filled)
        try:
            got = read(value)
        except ValueError:
            raise NotUnderstood(f"the value {value!r} of the request") from None
        return compare(got, wanted)

    return compared


_ORDERS: dict[str, tuple[Callable[[float, float], bool], bool]] = {
    "Equals": (lambda got, wanted: got == wanted, False),
    "NotEquals": (lambda got, wanted: got == wanted, True),
    "LessThan": (lambda got, wanted: got < wanted, False),
    "LessThanEquals": (lambda got, wanted: got <= wanted, False),
    "GreaterThan": (lambda got, wanted: got > wanted, False),
    "GreaterThanEquals": (lambda got, wanted: got >= wanted, False),
}


def _table() -> dict[str, Operator]:
    operators = [
        Operator(name=NULL, compare=None, check=_flag),
        Operator(name="Bool", compare=_by(_flag, lambda got, wanted: got == wanted), check=_flag),
        Operator(name="BinaryEquals", compare=_binary, check=_bytes),
    ]
    for name, compare, wildcards, check in (
        ("StringEquals", _text, False, None),
        ("StringEqualsIgnoreCase", _text_any_case, False, None),
        ("StringLike", _like, True, None),
        ("ArnEquals", _arn, True, _six_parts),
        ("ArnLike", _arn, True, _six_parts),
        ("IpAddress", _address, False, _network),
    ):
        opposite = "NotIpAddress" if name == "IpAddress" else re.sub(r"^(String|Arn)", r"\1Not", name)
        for each, negated in ((name, False), (opposite, True)):
            operators.append(Operator(name=each, compare=compare, negated=negated, wildcards=wildcards, check=check))
    for kind, read in (("Numeric", _number), ("Date", _moment)):
        operators += [
            Operator(name=kind + order, compare=_by(read, compare), negated=negated, check=read)
            for order, (compare, negated) in _ORDERS.items()
        ]
    by_name = {each.name.lower(): each for each in operators}
    return by_name | {other: by_name[name.lower()] for other, name in _OF_COS.items()}


def _six_parts(text: str) -> None:
    if len(_COLON.split(text)) < 6:
        raise ValueError("no ARN")


_OF_COS = {
    "string_equal": "StringEquals",
    "string_not_equal": "StringNotEquals",
    "string_equal_ignore_case": "StringEqualsIgnoreCase",
    "string_not_equal_ignore_case": "StringNotEqualsIgnoreCase",
    "string_like": "StringLike",
    "string_not_like": "StringNotLike",
    "ip_equal": "IpAddress",
    "ip_not_equal": "NotIpAddress",
    "bool_equal": "Bool",
    "null_equal": NULL,
    **{
        f"{kind.lower()}_{word}": kind + order
        for kind in ("Numeric", "Date")
        for word, order in (
            ("equal", "Equals"),
            ("not_equal", "NotEquals"),
            ("less_than", "LessThan"),
            ("less_than_equal", "LessThanEquals"),
            ("greater_than", "GreaterThan"),
            ("greater_than_equal", "GreaterThanEquals"),
        )
    },
}
"""Operators as COS writes them, and what they are elsewhere."""

_BY_NAME = _table()
