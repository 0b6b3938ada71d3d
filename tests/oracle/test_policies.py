"""Decisions about random policies and requests, against AWS's rules written down plainly."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracle.policies_plain import allowed, like
from tests.unit.server.policy_cases import ACCOUNT, NOW, OTHER, REGION, Desk, user

TAGS = {"docs": {"team": "deck", "stage": "a*"}, "pages": {"team": "sales"}}
PREFIX = f"arn:aws:s3vectors:{REGION}:{ACCOUNT}:bucket"
ACTIONS = ["GetVectors", "PutVectors", "QueryVectors", "GetVectorBucketPolicy", "GetIndex", "DeleteVectorBucketPolicy"]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    desk = Desk(tmp_path_factory.mktemp("policies"))
    with desk.store:
        catalog = desk.store.engine.catalog
        catalog.change_tags("docs", None, lambda _: TAGS["docs"])
        catalog.change_tags("docs", "pages", lambda _: TAGS["pages"])
        yield desk


def some(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


def one_or_more(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return values | st.lists(values, min_size=1, max_size=3)


PATTERNS = some("*", "s3vectors:*", "S3Vectors:Get*", "s3vectors:?etVectors", "s3vectors:*Policy", "s3vectors:*Vectors")
RESOURCES = some(
    "*",
    f"{PREFIX}/docs",
    f"{PREFIX}/docs/*",
    f"{PREFIX}/docs*",
    f"{PREFIX}/docs/index/pages",
    f"{PREFIX}/d?cs/*/*s",
    f"{PREFIX}/other",
    "arn:aws:s3vectors:*:bucket/docs",
    f"{PREFIX}/docs/index/${{aws:username}}",
    f"{PREFIX}/${{aws:ResourceTag/none}}*",
)
PRINCIPALS = some(
    "*",
    ACCOUNT,
    OTHER,
    f"arn:aws:iam::{ACCOUNT}:root",
    f"arn:aws:iam::{OTHER}:root",
    f"arn:aws:iam::{ACCOUNT}:user/ana",
    f"arn:aws:iam::{ACCOUNT}:user/pages",
    f"arn:aws:iam::{OTHER}:user/ana",
)
KEYS: dict[str, list[str]] = {
    "aws:username": ["ana", "ANA", "a*", "b?b", "${aws:ResourceTag/team}", "pages"],
    "aws:ResourceTag/team": ["deck", "sales", "*", "s*s", "${aws:username}"],
    "s3vectors:VectorBucketTag/stage": ["a*", "a?", "ab", "*"],
    "aws:RequestTag/colour": ["red", "r*", "${aws:username}"],
    "aws:TagKeys": ["colour", "size", "*", "co*"],
    "aws:PrincipalAccount": [ACCOUNT, OTHER, "1*"],
}
STRINGS = ["StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "StringLike"]
TIMES = ["2027-01-15T08:00:00Z", "2027-01-15T07:59:59.5Z", "2026-01-01T00:00:00+02:00", "2030-01-01T00:00:00Z"]
ORDERS = ["Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals"]


@st.composite
def conditions(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(some("String", "String", "String", "Numeric", "Date", "Bool", "Ip", "Arn", "Null"))
    before = draw(some("", "", "", "ForAllValues:", "ForAnyValue:"))
    after = draw(some("", "", "IfExists"))
    if kind == "String":
        key = draw(some(*KEYS))
        operator, values = draw(some(*STRINGS, "StringNotLike")), some(*KEYS[key])
    elif kind == "Numeric":
        key, operator = "aws:EpochTime", f"Numeric{draw(some(*ORDERS))}"
        values = some(str(int(NOW)), str(int(NOW) - 1), "1e3", "2000000000.5")
    elif kind == "Date":
        key, operator, values = "aws:CurrentTime", f"Date{draw(some(*ORDERS))}", some(*TIMES)
    elif kind == "Bool":
        key, operator, values = "aws:SecureTransport", "Bool", some("true", "false", "TRUE")
    elif kind == "Ip":
        key, operator = "aws:SourceIp", draw(some("IpAddress", "NotIpAddress"))
        values = some("192.0.2.0/24", "192.0.2.7", "10.0.0.0/8", "2001:db8::/32", "::1")
    elif kind == "Arn":
        key, operator = "aws:PrincipalArn", draw(some("ArnLike", "ArnNotLike"))
        values = some("arn:aws:iam::*:user/a*", f"arn:aws:iam::{ACCOUNT}:root", "arn:*:*:*:*:*", "arn:aws:*::*:*n?")
    else:
        key, before, after = draw(some(*KEYS)), "", ""
        operator, values = "Null", some("true", "false")
    return {f"{before}{operator}{after}": {key: draw(one_or_more(values))}}


def parts(attached: bool) -> dict[str, st.SearchStrategy[Any]]:
    names = {"Action": PATTERNS, "Resource": RESOURCES}
    return names if attached else {**names, "Principal": PRINCIPALS}


@st.composite
def statements(draw: st.DrawFn, attached: bool, varied: tuple[str, ...]) -> dict[str, Any]:
    """A statement in which these parts are anything, and the others mean everything."""
    statement: dict[str, Any] = {"Effect": draw(some("Allow", "Allow", "Deny"))}
    for part, values in parts(attached).items():
        if part in varied:
            named = draw(one_or_more(values))
            statement[draw(some(part, part, f"Not{part}"))] = {"AWS": named} if part == "Principal" else named
        else:
            statement[part] = "*"
    if "Condition" in varied:
        block: dict[str, dict[str, Any]] = {}
        for each in draw(st.lists(conditions(), min_size=1, max_size=2)):
            for operator, keys in each.items():
                block.setdefault(operator, {}).update(keys)
        statement["Condition"] = block
    return statement


def documents(attached: bool, varied: tuple[str, ...], most: int) -> st.SearchStrategy[Any]:
    listed = st.lists(statements(attached, varied), min_size=1, max_size=most)
    return st.builds(lambda each: {"Version": "2012-10-17", "Statement": each}, listed)


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    whole = ("Principal", "Action", "Resource", "Condition")
    varied = draw(some(("Condition",), ("Condition",), ("Principal",), ("Action", "Resource"), whole))
    most = draw(some(1, 1, 3))
    account = draw(some(ACCOUNT, ACCOUNT, OTHER))
    own = draw(some(0, 0, 1, 2))
    return {
        "own": [draw(documents(True, varied, most)) for _ in range(own)],
        "bucket": draw(st.none() | documents(False, varied, most)) if own else draw(documents(False, varied, most)),
        "who": {"account": account, "name": draw(some("ana", "bob", "pages")), "owner": draw(some(False, False, True))},
        "action": f"s3vectors:{draw(some(*ACTIONS))}",
        "resource": draw(some(f"{PREFIX}/docs", f"{PREFIX}/docs/index/pages")),
        "client": draw(some("192.0.2.7", "10.1.2.3", "2001:db8::5", "::ffff:192.0.2.9")),
        "secure": draw(st.booleans()),
        "colour": draw(some(None, "red", "ana")),
        "tag_keys": draw(some((), ("colour",), ("size",), ("colour", "size"))),
    }


@settings(max_examples=400, deadline=None)
@given(case=cases())
def test_decisions_are_those_of_the_plain_rules(desk: Desk, case: dict[str, Any]) -> None:
    own, who, resource, client = case["own"], case["who"], case["resource"], case["client"]
    desk.put(case["bucket"])
    given_keys: dict[str, tuple[str, ...]] = {"aws:TagKeys": case["tag_keys"]} if case["tag_keys"] else {}
    if case["colour"] is not None:
        given_keys["aws:RequestTag/colour"] = (case["colour"],)
    context = {
        **{key: list(values) for key, values in given_keys.items()},
        "aws:PrincipalAccount": [who["account"]],
        "aws:PrincipalArn": [f"arn:aws:iam::{who['account']}:{'root' if who['owner'] else 'user/' + who['name']}"],
        "aws:EpochTime": [str(int(NOW))],
        "aws:CurrentTime": [datetime.fromtimestamp(NOW, timezone.utc).isoformat()],
        "aws:SecureTransport": [str(case["secure"]).lower()],
        "aws:SourceIp": [client.removeprefix("::ffff:")],
        "aws:ResourceTag/team": [TAGS["pages" if resource.endswith("pages") else "docs"]["team"]],
        "s3vectors:VectorBucketTag/stage": [TAGS["docs"]["stage"]],
        **({} if who["owner"] else {"aws:username": [who["name"]]}),
    }
    request = {"action": case["action"], "resource": resource, "context": context}
    asking = user(who["name"], account=who["account"], owner=who["owner"], policies=tuple(own))
    got = desk.may(asking, case["action"], resource, client=client, secure=case["secure"], **given_keys)
    assert got == allowed(who, request, own=own, bucket=case["bucket"], home=ACCOUNT)


@settings(max_examples=500, deadline=None)
@given(pattern=st.text("ab*?:.\n", max_size=12), text=st.text("ab:.\n", max_size=14))
def test_wildcards_are_those_of_the_plain_rules(pattern: str, text: str) -> None:
    from ragvec.server.policy.patterns import glob

    assert glob(pattern, text) == like(pattern, text)
