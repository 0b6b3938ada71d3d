"""AWS's rules for policies, written down plainly: no caching, no wordings of other services, everything by hand."""

from __future__ import annotations

import ipaddress
import re
from datetime import datetime
from typing import Any

__all__ = ["allowed"]


def like(pattern: str, text: str) -> bool:
    """By the table of prefixes: `reach[j]` tells whether the pattern so far matches the first j characters."""
    reach = [True] + [False] * len(text)
    for sign in pattern:
        if sign == "*":
            seen, after = False, []
            for each in reach:
                seen = seen or each
                after.append(seen)
        else:
            after = [False] + [before and sign in ("?", letter) for before, letter in zip(reach, text, strict=False)]
        reach = after
    return reach[-1]


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


class Absent(Exception):
    pass


def substituted(text: str, context: dict[str, list[str]]) -> str:
    def value(found: re.Match[str]) -> str:
        if found[1] not in context or len(context[found[1]]) != 1:
            raise Absent
        # What a variable stands for is no pattern: its signs are put where no alphabet of these tests is.
        return context[found[1]][0].replace("*", "\u2217").replace("?", "\u2047")

    return re.sub(r"\$\{([^}]*)\}", value, text)


def compared(operator: str, wanted: str, got: str, context: dict[str, list[str]]) -> bool:
    try:
        wanted = substituted(wanted, context)
    except Absent:
        return False
    hidden = got.replace("*", "\u2217").replace("?", "\u2047")
    if operator == "StringEquals":
        return wanted.replace("\u2217", "*").replace("\u2047", "?") == got
    if operator == "StringEqualsIgnoreCase":
        return wanted.replace("\u2217", "*").replace("\u2047", "?").lower() == got.lower()
    if operator == "StringLike":
        return like(wanted, hidden)
    if operator == "ArnLike":
        return all(like(*pair) for pair in zip(wanted.split(":", 5), hidden.split(":", 5), strict=True))
    if operator == "IpAddress":
        return ipaddress.ip_address(got) in ipaddress.ip_network(wanted, strict=False)
    if operator == "Bool":
        return wanted.lower() == got.lower()
    kind, sign = re.fullmatch("(Numeric|Date)(.*)", operator).groups()  # type: ignore[union-attr]
    if kind == "Date":
        left, right = (datetime.fromisoformat(each.replace("Z", "+00:00")).timestamp() for each in (got, wanted))
    else:
        left, right = float(got), float(wanted)
    return {
        "Equals": left == right,
        "LessThan": left < right,
        "LessThanEquals": left <= right,
        "GreaterThan": left > right,
        "GreaterThanEquals": left >= right,
    }[sign]


OPPOSITES = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotLike": "ArnLike",
    "NotIpAddress": "IpAddress",
    "NumericNotEquals": "NumericEquals",
    "DateNotEquals": "DateEquals",
}


def condition_holds(operator: str, key: str, values: list[str], context: dict[str, list[str]]) -> bool:
    got = context.get(key, [])
    if operator == "Null":
        return any((value == "true") == (not got) for value in values)
    quantifier, _, operator = operator.rpartition(":")
    if operator.endswith("IfExists"):
        if not got:
            return True
        operator = operator[: -len("IfExists")]
    plain = OPPOSITES.get(operator, operator)
    fits = []
    for each in got:
        hit = any(compared(plain, value, each, context) for value in values)
        fits.append(not hit if operator in OPPOSITES else hit)
    if quantifier == "ForAllValues":
        return False not in fits
    if quantifier == "ForAnyValue":
        return True in fits
    if operator in OPPOSITES:
        return False not in fits
    return True in fits


def names(principal: Any) -> list[str]:
    return as_list(principal["AWS"]) if isinstance(principal, dict) else as_list(principal)


def level(named: list[str], who: dict[str, Any]) -> int:
    """2: the very user or everybody; 1: its account; 0: nobody it is."""
    best = 0
    for name in named:
        if name == "*" or (name == f"arn:aws:iam::{who['account']}:user/{who['name']}" and not who["owner"]):
            best = 2
        elif name in (who["account"], f"arn:aws:iam::{who['account']}:root"):
            best = max(best, 2 if who["owner"] else 1)
    return best


def applies(statement: dict[str, Any], who: dict[str, Any], request: dict[str, Any], attached: bool) -> int:
    context = request["context"]
    meant = 2
    if not attached:
        if "Principal" in statement:
            meant = level(names(statement["Principal"]), who)
        else:
            named = level(names(statement["NotPrincipal"]), who)
            excepted = named == 2 if statement["Effect"] == "Deny" else named > 0
            meant = 0 if excepted else 2
    actions = as_list(statement.get("Action", statement.get("NotAction")))
    hit = any(like(each.lower(), request["action"].lower()) for each in actions)
    if hit == ("NotAction" in statement):
        return 0
    hit = False
    for each in as_list(statement.get("Resource", statement.get("NotResource"))):
        try:
            hit = hit or like(substituted(each, context), request["resource"])
        except Absent:
            continue
    if hit == ("NotResource" in statement):
        return 0
    for operator, block in statement.get("Condition", {}).items():
        for key, values in block.items():
            if not condition_holds(operator, key, as_list(values), context):
                return 0
    return meant


def allowed(
    who: dict[str, Any],
    request: dict[str, Any],
    *,
    own: list[dict[str, Any]],
    bucket: dict[str, Any] | None,
    home: str,
) -> bool:
    """Whether `who` (account, name, owner) may do `request` (action, resource, context)."""

    def levels(document: dict[str, Any] | None, effect: str, attached: bool) -> int:
        if document is None:
            return 0
        return max(
            (
                applies(each, who, request, attached)
                for each in as_list(document["Statement"])
                if each["Effect"] == effect
            ),
            default=0,
        )

    if any(levels(each, "Deny", True) for each in own):
        return False
    about_policy = re.search("(get|put|delete)vectorbucketpolicy$", request["action"].lower())
    never_locked_out = who["owner"] and who["account"] == home and about_policy
    if levels(bucket, "Deny", False) and not never_locked_out:
        return False
    by_own = who["owner"] or any(levels(each, "Allow", True) for each in own)
    by_bucket = levels(bucket, "Allow", False)
    if who["account"] == home:
        return bool(by_own or by_bucket == 2)
    if by_bucket == 0:
        return False
    return bool(by_own or (by_bucket == 2 and not own))
