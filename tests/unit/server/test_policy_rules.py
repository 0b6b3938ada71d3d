"""Who may do what: owners, users of the account and of others, what denies and what is not understood."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from ragvec.errors import AccessDenied
from ragvec.server.policy.permission import Permission
from ragvec.store import Store
from tests.unit.server.policy_cases import ACCOUNT, BUCKET, INDEX, OTHER, REGION, Desk, allow, deny, document, user

EVERYBODY = {"Principal": "*"}
OWNER = user("owner", owner=True)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    desk = Desk(tmp_path_factory.mktemp("policies"))
    with desk.store:
        yield desk


@pytest.fixture
def desk(shared: Desk) -> Desk:
    shared.put(None)
    return shared


def arn(name: str, account: str = ACCOUNT) -> dict[str, Any]:
    return {"Principal": {"AWS": f"arn:aws:iam::{account}:{name}"}}


def test_without_policies_only_the_owner_may(desk: Desk) -> None:
    assert desk.may(OWNER)
    assert desk.may(OWNER, "s3vectors:ListVectorBuckets", "*", bucket=None)
    assert not desk.may(user())
    assert not desk.may(user("owner", account=OTHER, owner=True))


def test_the_own_policy_of_a_user_or_that_of_the_bucket_suffices(desk: Desk) -> None:
    own = document(allow("s3vectors:Get*", f"{BUCKET}/index/*"))
    ana = user(policies=(own,))
    assert desk.may(ana)
    assert not desk.may(ana, "s3vectors:PutVectors")
    assert not desk.may(ana, "s3vectors:GetVectorBucket", BUCKET)
    desk.put(document(allow("s3vectors:PutVectors", INDEX, **arn("user/ana"))))
    assert desk.may(ana, "s3vectors:PutVectors")
    assert desk.may(user(), "s3vectors:PutVectors")
    assert not desk.may(user("bob"), "s3vectors:PutVectors")


@pytest.mark.parametrize("where", ["own", "bucket"])
def test_what_denies_wins(desk: Desk, where: str) -> None:
    own, bucket = [allow()], [allow(**EVERYBODY)]
    if where == "own":
        own.append(deny("s3vectors:GetVectors"))
    else:
        bucket.append(deny("s3vectors:GetVectors", **EVERYBODY))
    desk.put(document(*bucket))
    ana = user(policies=(document(*own),))
    assert not desk.may(ana)
    assert desk.may(ana, "s3vectors:ListVectors")
    assert desk.may(OWNER) == (where == "own")


def test_an_owner_is_denied_by_the_bucket_but_never_its_policy(desk: Desk) -> None:
    desk.put(document(deny(**EVERYBODY)))
    assert not desk.may(OWNER)
    for verb in ("Get", "Put", "Delete"):
        assert desk.may(OWNER, f"s3vectors:{verb}VectorBucketPolicy", BUCKET)
        assert desk.may(OWNER, f"oss:{verb}BucketPolicy", f"acs:ossvector:{REGION}:{ACCOUNT}:docs", dialect="oss")
    assert not desk.may(user(policies=(document(allow()),)), "s3vectors:DeleteVectorBucketPolicy", BUCKET)
    assert not desk.may(OWNER, "s3vectors:DeleteVectorBucket", BUCKET)


def test_a_user_of_another_account_needs_the_policy_of_the_bucket(desk: Desk) -> None:
    everything = (document(allow()),)
    assert not desk.may(user("bob", account=OTHER, policies=everything))
    desk.put(document(allow("s3vectors:GetVectors", INDEX, **arn("user/bob", OTHER))))
    assert desk.may(user("bob", account=OTHER))
    assert desk.may(user("bob", account=OTHER, policies=everything))
    assert not desk.may(user("bob", account=OTHER, policies=(document(allow("s3vectors:ListVectors")),)))
    assert not desk.may(user("bob"))
    assert not desk.may(user("carol", account=OTHER, policies=everything))


def test_an_account_as_principal_leaves_its_users_to_their_own_policies(desk: Desk) -> None:
    for named in ({"AWS": OTHER}, {"AWS": f"arn:aws:iam::{OTHER}:root"}):
        desk.put(document(allow(Principal=named)))
        assert desk.may(user("boss", account=OTHER, owner=True))
        assert desk.may(user("bob", account=OTHER, policies=(document(allow()),)))
        assert not desk.may(user("bob", account=OTHER))
    desk.put(document(allow(Principal={"AWS": ACCOUNT})))
    assert not desk.may(user())
    desk.put(document(deny(Principal={"AWS": OTHER}), allow(**EVERYBODY)))
    assert not desk.may(user("bob", account=OTHER))
    assert desk.may(user())


def test_all_but_some_principals(desk: Desk) -> None:
    ana = arn("user/ana")["Principal"]
    desk.put(document(deny(NotPrincipal=ana), allow(**EVERYBODY)))
    assert desk.may(user())
    assert not desk.may(user("bob"))
    assert not desk.may(OWNER)
    desk.put(document(allow(NotPrincipal=ana)))
    assert not desk.may(user())
    assert desk.may(user("bob"))
    # Who is named as one of its account is still denied, as by AWS.
    desk.put(document(deny(NotPrincipal={"AWS": ACCOUNT}), allow(**EVERYBODY)))
    assert not desk.may(user())
    assert desk.may(OWNER)


def test_all_but_some_actions_and_resources(desk: Desk) -> None:
    desk.put(document({"Effect": "Allow", "NotAction": "s3vectors:Put*", "Resource": "*", **EVERYBODY}))
    assert desk.may(user())
    assert not desk.may(user(), "s3vectors:PutVectors")
    desk.put(document({"Effect": "Allow", "Action": "*", "NotResource": f"{BUCKET}/index/pages", **EVERYBODY}))
    assert not desk.may(user())
    assert desk.may(user(), "s3vectors:GetVectors", f"{BUCKET}/index/other")


@pytest.mark.parametrize(
    "condition",
    [
        {"StringFits": {"aws:SourceIp": "x"}},
        {"StringEquals": {"aws:PrincipalOrgID": "o-1"}},
        {"StringEquals": {"nonsense": "x"}},
        {"NumericEquals": {"aws:EpochTime": "soon"}},
        {"IpAddress": {"aws:SourceIp": "not/an/address"}},
        {"StringEquals": {"aws:username": "${aws:PrincipalTag/name}"}},
    ],
    ids=lambda value: json.dumps(value)[:40],
)
def test_what_is_not_understood_never_allows_and_always_denies(desk: Desk, condition: dict[str, Any]) -> None:
    desk.put(document(allow(Condition=condition, **EVERYBODY)))
    assert not desk.may(user())
    desk.put(document(allow(**EVERYBODY), deny("s3vectors:GetVectors", Condition=condition, **EVERYBODY)))
    assert not desk.may(user())
    assert desk.may(user(), "s3vectors:ListVectors")
    other = {"StringEquals": {"aws:username": "bob"}, **condition}
    if "StringEquals" in condition:
        other["StringEquals"] = {"aws:username": "bob", **condition["StringEquals"]}
        if condition["StringEquals"].get("aws:username"):
            return
    desk.put(document(allow(**EVERYBODY), deny(Condition=other, **EVERYBODY)))
    assert desk.may(user()), "a condition that does not hold settles it"


@pytest.mark.parametrize(
    "statement",
    [
        deny(),
        deny(Principal={"AWS": "AIDAEXAMPLE"}),
        deny(Principal=[]),
        deny(Principal="*", Nonsense=1),
        {**deny(Principal="*"), "Effect": "Forbid"},
        {"Effect": "Deny", "Principal": "*", "Resource": "*"},
        deny(Principal="*", Condition=["a"]),
        "Deny",
    ],
    ids=lambda value: json.dumps(value)[:60],
)
def test_a_statement_that_cannot_be_read_and_may_deny_denies(desk: Desk, statement: Any) -> None:
    desk.put(document(allow(**EVERYBODY), statement))
    assert not desk.may(user())


@pytest.mark.parametrize(
    "text",
    ["", "x", "[]", "{}", '{"Statement": []}', "[" * 100_000, '{"Statement": {}, "Statement": {}}'],
    ids=lambda text: text[:20] or "empty",
)
def test_a_document_that_cannot_be_read_denies(desk: Desk, text: str) -> None:
    desk.put(text)
    assert not desk.may(user(policies=(document(allow()),)))
    assert not desk.may(OWNER)
    assert desk.may(OWNER, "s3vectors:DeleteVectorBucketPolicy", BUCKET)
    desk.put(None)
    assert not desk.may(user(policies=(document(allow()), text)))


def test_a_member_that_is_there_twice_is_not_read_as_the_last_of_them(desk: Desk) -> None:
    twice = json.dumps(document(allow(Principal="*", Condition={"Bool": {"aws:SecureTransport": "true"}})))
    desk.put(twice.replace('"Condition":', '"Condition": {"Bool": {"aws:SecureTransport": "false"}}, "Condition":'))
    assert not desk.may(user(), secure=True)
    assert not desk.may(user(), secure=False)


def test_a_policy_is_good_for_every_service(desk: Desk) -> None:
    desk.put(document(deny("s3vectors:GetVectors", f"{BUCKET}/*", **EVERYBODY)))
    elsewhere = [
        ("oss:GetVectors", f"acs:ossvector:{REGION}:{ACCOUNT}:docs/index/pages", "oss"),
        ("name/cos:GetVectors", f"qcs::cosvector:{REGION}:uid/{ACCOUNT}:bucket/docs/index/pages", "cos"),
        ("tosvectors:GetVectors", f"trn:tosvectors:{REGION}:{ACCOUNT}:bucket/docs/index/pages", "tos"),
    ]
    for action, resource, dialect in elsewhere:
        assert not desk.may(OWNER, action, resource, dialect=dialect)
        assert desk.may(OWNER, action.replace("Get", "List"), resource, dialect=dialect)


def test_several_permissions_are_all_needed(desk: Desk) -> None:
    desk.put(document(allow("s3vectors:QueryVectors", INDEX, **EVERYBODY)))
    wanted = [
        Permission(action=f"s3vectors:{each}", resource=INDEX, bucket="docs") for each in ("QueryVectors", "GetVectors")
    ]
    desk.authorizer.check(user(), tuple(wanted[:1]), dialect="s3vectors", client="", secure=False)
    with pytest.raises(AccessDenied, match="s3vectors:GetVectors"):
        desk.authorizer.check(user(), tuple(wanted), dialect="s3vectors", client="", secure=False)


def test_the_words_of_a_refusal(desk: Desk) -> None:
    who = (
        f"User: arn:aws:iam::{ACCOUNT}:user/ana is not authorized to perform: s3vectors:GetVectors on resource: {INDEX}"
    )
    assert desk.refusal(user()) == f"{who} because no identity-based policy allows the s3vectors:GetVectors action"
    assert (
        desk.refusal(user(policies=(document(deny()),))) == f"{who} with an explicit deny in an identity-based policy"
    )
    desk.put(document(deny(**EVERYBODY)))
    assert desk.refusal(user()) == f"{who} with an explicit deny in a resource-based policy"
    assert desk.refusal(OWNER).startswith(f"User: arn:aws:iam::{ACCOUNT}:root is not authorized to perform")
    desk.put(None)
    assert desk.refusal(user(account=OTHER)).endswith(
        "because no resource-based policy allows the s3vectors:GetVectors action"
    )
    assert desk.refusal(user(), "oss:GetVectors", "acs:ossvector:r:1:docs", dialect="oss") == (
        "The user 'ana' may not do oss:GetVectors on acs:ossvector:r:1:docs: no identity-based policy allows it"
    )


def test_a_change_by_another_store_counts_at_once(desk: Desk) -> None:
    with Store(desk.store.path) as other:
        assert not desk.may(user())
        other.engine.catalog.put_policy("docs", json.dumps(document(allow(**EVERYBODY))))
        assert desk.may(user())
        other.engine.catalog.delete_policy("docs")
        assert not desk.may(user())


@pytest.mark.parametrize("name", ["\ud800", "no-such", "a\0b", ""], ids=repr)
def test_a_bucket_that_there_cannot_be_has_no_policy(desk: Desk, name: str) -> None:
    assert desk.may(OWNER, "s3vectors:GetVectorBucket", f"{BUCKET}x", bucket=name)
    assert not desk.may(user(), "s3vectors:GetVectorBucket", f"{BUCKET}x", bucket=name)
