"""Policies in the grammar of each service: what they mean, and what may not be put."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragvec.api.dialects import COS, OSS, S3, TOS, Dialect
from ragvec.errors import InvalidPolicy, InvalidRequest
from ragvec.server.credentials import read_credentials
from ragvec.server.policy.grammar import check_bucket_policy, check_user_policy, read_policy
from ragvec.server.users import User
from tests.unit.server.policy_cases import ACCOUNT, OTHER, REGION, Desk, allow, document, user

ARN = f"arn:aws:s3vectors:{REGION}:{ACCOUNT}:bucket/docs"
OSS_NAME = f"acs:ossvector:{REGION}:{ACCOUNT}:docs"
QCS = f"qcs::cosvector:{REGION}:uid/{ACCOUNT}:bucket/docs"
TRN = f"trn:tosvectors:{REGION}:{ACCOUNT}:bucket/docs"
READ = {
    "s3": "s3vectors:GetVectors",
    "oss": "oss:GetVectors",
    "cos": "name/cos:GetVectors",
    "tos": "tosvectors:GetVectors",
}
NAMED = {"s3": ARN, "oss": OSS_NAME, "cos": QCS, "tos": TRN}
ANA, BOB = user("ana"), user("bob")
ROLE = user("role/deck/session-1")
STRANGER, BOSS = user("ana", account=OTHER), user("boss", account=OTHER, owner=True)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    desk = Desk(tmp_path_factory.mktemp("grammar"))
    with desk.store:
        yield desk


PRINCIPALS: list[tuple[Dialect, Any, list[User]]] = [
    (S3, "*", [ANA, BOB, ROLE, STRANGER, BOSS]),
    (S3, {"AWS": "*"}, [ANA, BOB, ROLE, STRANGER, BOSS]),
    (S3, {"AWS": f"arn:aws:iam::{ACCOUNT}:user/ana"}, [ANA]),
    (S3, {"AWS": f"arn:aws:iam::{ACCOUNT}:user/some/path/ana"}, [ANA]),
    (S3, {"AWS": [f"arn:aws:iam::{ACCOUNT}:user/bob", f"arn:aws:iam::{OTHER}:user/ana"]}, [BOB, STRANGER]),
    (S3, {"AWS": OTHER}, [BOSS]),
    (S3, {"AWS": f"arn:aws:iam::{OTHER}:root"}, [BOSS]),
    (S3, {"AWS": f"arn:aws:iam::{ACCOUNT}:role/deck"}, [ROLE]),
    (S3, {"AWS": f"arn:aws:sts::{ACCOUNT}:assumed-role/deck/session-1"}, [ROLE]),
    (S3, {"AWS": f"arn:aws:sts::{ACCOUNT}:assumed-role/deck/session-2"}, []),
    (S3, {"Service": "indexing.s3vectors.amazonaws.com"}, []),
    (S3, {"Service": "x.amazonaws.com", "AWS": f"arn:aws:iam::{ACCOUNT}:user/bob"}, [BOB]),
    (OSS, ["*"], [ANA, BOB, ROLE, STRANGER, BOSS]),
    (OSS, [OTHER], [BOSS]),
    (OSS, ["202147604049351234"], [user("202147604049351234")]),
    (OSS, [f"arn:sts::{ACCOUNT}:assumed-role/deck/session-1"], [ROLE]),
    (OSS, [f"arn:sts::{ACCOUNT}:assumed-role/deck/*"], [ROLE]),
    (OSS, [f"arn:sts::{ACCOUNT}:assumed-role/*"], [ROLE]),
    (OSS, [f"acs:ram::{ACCOUNT}:user/ana"], [ANA]),
    (COS, {"qcs": ["qcs::cam::anyone:anyone"]}, [ANA, BOB, ROLE, STRANGER, BOSS]),
    (COS, {"qcs": ["*"]}, [ANA, BOB, ROLE, STRANGER, BOSS]),
    (COS, {"qcs": [f"qcs::cam::uin/{ACCOUNT}:uin/ana"]}, [ANA]),
    (COS, {"qcs": [f"qcs::cam::uin/{ACCOUNT}:uin/*"]}, [ANA, BOB, ROLE]),
    (COS, {"qcs": [f"qcs::cam::uin/{OTHER}:uin/{OTHER}"]}, [BOSS]),
    (COS, {"qcs": [f"qcs::cam::uin/{OTHER}:root/{OTHER}"]}, [BOSS]),
    (COS, {"qcs": [f"qcs::cam::uin/{ACCOUNT}:roleName/deck"]}, [ROLE]),
    (TOS, ["*"], [ANA, BOB, ROLE, STRANGER, BOSS]),
    (TOS, "*", [ANA, BOB, ROLE, STRANGER, BOSS]),
    (TOS, [OTHER], [BOSS]),
    (TOS, [f"{ACCOUNT}/ana", f"{OTHER}/*"], [ANA, STRANGER, BOSS]),
    (TOS, [f"{ACCOUNT}/role/deck"], [ROLE]),
]


def put(desk: Desk, dialect: Dialect, statement: dict[str, Any]) -> None:
    text = json.dumps(document(statement, version=dialect.policies.versions[0]))
    check_bucket_policy(text, dialect)
    desk.put(text)


@pytest.mark.parametrize(
    ("dialect", "principal", "expected"), PRINCIPALS, ids=[f"{d.name}-{json.dumps(p)}" for d, p, _ in PRINCIPALS]
)
def test_principals(desk: Desk, dialect: Dialect, principal: Any, expected: list[User]) -> None:
    put(desk, dialect, allow([READ[dialect.name]], [NAMED[dialect.name] + "*"], Principal=principal))
    asked = READ[dialect.name], NAMED[dialect.name] + "/index/pages"
    everybody = [ANA, BOB, ROLE, STRANGER, BOSS, user("202147604049351234")]
    allowed = [each for each in everybody if desk.may(each, *asked, dialect=dialect.name)]
    if expected == [ANA, BOB, ROLE, STRANGER, BOSS] or expected == [ANA, BOB, ROLE]:
        expected = [*expected, everybody[-1]]
    assert allowed == expected


ACTIONS = [
    (OSS, ["oss:GetVectors"], "oss:GetVectors", True),
    (OSS, ["ossvector:GetVectors"], "oss:GetVectors", True),
    (OSS, ["oss:getvectors"], "oss:GetVectors", True),
    (OSS, ["oss:*"], "oss:PutVectorIndex", True),
    (OSS, ["oss:Get*"], "oss:PutVectorIndex", False),
    (OSS, ["oss:PutVectorIndex"], "oss:PutVectorIndexFusion", True),
    (OSS, ["ossvector:PutBucketLogging"], "oss:PutBucketLogging", True),
    (COS, ["name/cos:GetVectors"], "name/cos:GetVectors", True),
    (COS, ["cos:GetVectors"], "name/cos:GetVectors", True),
    (COS, ["name/cos:*"], "name/cos:QueryVectors", True),
    (COS, ["*"], "name/cos:QueryVectors", True),
    (COS, ["name/cos:PutVectors"], "name/cos:GetVectors", False),
    (TOS, "tosvectors:CreateIndex", "tosvectors:CreateIndex", True),
    (TOS, ["tosvectors:*Index"], "tosvectors:CreateIndex", True),
    (S3, "s3vectors:Put*", "oss:PutVectorBucket", False),
    (S3, "s3vectors:CreateVectorBucket", "oss:PutVectorBucket", True),
    (OSS, ["oss:PutVectorIndex"], "s3vectors:CreateIndex", True),
]


@pytest.mark.parametrize(
    ("dialect", "actions", "asked", "expected"), ACTIONS, ids=[f"{a}-{b}" for _, a, b, _ in ACTIONS]
)
def test_actions(desk: Desk, dialect: Dialect, actions: Any, asked: str, expected: bool) -> None:
    put(desk, dialect, allow(actions, ["*"], Principal="*"))
    assert desk.may(ANA, asked, ARN + "/index/pages") == expected


INDEX = "/index/pages"
RESOURCES = [
    (OSS, [OSS_NAME], OSS_NAME, True),
    (OSS, ["acs:ossvector:*:*:docs"], OSS_NAME, True),
    (OSS, [f"acs:ossvector:{REGION}:{ACCOUNT}:*"], OSS_NAME + INDEX, True),
    (OSS, [f"acs:ossvector:{REGION}:{ACCOUNT}:bucket/docs/*"], OSS_NAME, True),
    (OSS, [f"acs:ossvector:{REGION}:{ACCOUNT}:bucket/docs/*"], OSS_NAME + INDEX, True),
    (OSS, [f"acs:ossvector:{REGION}:{ACCOUNT}:docs/*"], OSS_NAME + INDEX, True),
    (OSS, [f"acs:ossvector:{REGION}:{ACCOUNT}:docs"], OSS_NAME + INDEX, False),
    (OSS, [f"acs:ossvector:{REGION}:{OTHER}:*"], OSS_NAME, False),
    (COS, [QCS + "/*"], QCS, True),
    (COS, [QCS + "/*"], QCS + INDEX, True),
    (COS, [QCS + "/index/pages/*"], QCS + INDEX, True),
    (COS, [QCS + "/index/other/*"], QCS + INDEX, False),
    (COS, [f"qcs::cosvector:uid/{ACCOUNT}:bucket/*"], QCS, True),
    (COS, [f"qcs::cosvector::uid/{ACCOUNT}:bucket/docs/*"], QCS, True),
    (COS, ["*"], QCS + INDEX, True),
    (TOS, [TRN], TRN, True),
    (TOS, TRN + "/index/*", TRN + INDEX, True),
    (TOS, [TRN], TRN + INDEX, False),
    (S3, ARN, ARN, True),
    (S3, ARN, ARN + INDEX, False),
    (S3, ARN + "/index/*", ARN, False),
    (S3, ARN + "/*", ARN, False),
    (S3, ARN + "/*", QCS + INDEX, True),
    (COS, [QCS + "/*"], ARN, True),
]


@pytest.mark.parametrize(
    ("dialect", "resources", "asked", "expected"), RESOURCES, ids=[f"{d.name}-{a}-{b}" for d, a, b, _ in RESOURCES]
)
def test_resources(desk: Desk, dialect: Dialect, resources: Any, asked: str, expected: bool) -> None:
    put(desk, dialect, allow(["*"], resources, Principal="*"))
    action = "s3vectors:GetVectors" if asked.endswith(INDEX) else "s3vectors:GetVectorBucket"
    assert desk.may(ANA, action, asked) == expected


@pytest.mark.parametrize("index", ["pages", "docs", "index", "bucket", "d"])
@pytest.mark.parametrize("bucket", ["docs", "index", "bucket", "d"])
def test_an_index_is_told_from_its_bucket_whatever_their_names(desk: Desk, bucket: str, index: str) -> None:
    denied = f"arn:aws:s3vectors:{REGION}:{ACCOUNT}:bucket/{bucket}/index/{index}"
    ana = user(policies=(document(allow(), {**allow(resource=denied), "Effect": "Deny"}),))
    for dialect in (S3, OSS, COS, TOS):
        name = dialect.bucket_arn.format(region=REGION, account=ACCOUNT, bucket=bucket)
        assert desk.may(ana, READ[dialect.name], name, bucket=bucket)
        assert desk.may(ana, READ[dialect.name], f"{name}/index/{index}x", bucket=bucket)
        assert not desk.may(ana, READ[dialect.name], f"{name}/index/{index}", bucket=bucket)


def test_a_policy_of_cos_in_small_letters(desk: Desk) -> None:
    text = json.dumps(
        {
            "version": "2.0",
            "statement": [
                {
                    "effect": "allow",
                    "principal": {"qcs": [f"qcs::cam::uin/{ACCOUNT}:uin/ana"]},
                    "action": ["name/cos:QueryVectors"],
                    "resource": [QCS + "/*"],
                    "condition": {"ip_equal": {"qcs:ip": ["192.0.2.0/24"]}},
                }
            ],
        }
    )
    check_bucket_policy(text, COS)
    desk.put(text)
    asked = "name/cos:QueryVectors", QCS + INDEX
    assert desk.may(ANA, *asked, dialect="cos")
    assert not desk.may(ANA, *asked, dialect="cos", client="198.51.100.1")
    assert not desk.may(BOB, *asked, dialect="cos")


REFUSED = [
    (allow("s3vectors:GetVectorz"), "an unknown action 's3vectors:GetVectorz' - at `Statement[0].Action`"),
    (allow("s3:GetObject"), "an unknown action 's3:GetObject' - at `Statement[0].Action`"),
    (allow(Principal={"AWS": "ana"}), "an unknown principal 'ana' - at `Statement[0].Principal`"),
    (allow(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:user/a*"}), "an unknown principal"),
    (allow(Condition={"StringIs": {"aws:username": "x"}}), "an unknown condition operator 'StringIs'"),
    (allow(Condition={"NullIfExists": {"aws:username": "true"}}), "an unknown condition operator 'NullIfExists'"),
    (allow(Condition={"StringEquals": {"s3vectors:colour": "x"}}), "an unknown condition key 's3vectors:colour'"),
    (allow(Condition={"StringEquals": {"colour": "x"}}), "an unknown condition key 'colour'"),
    (allow(Condition={"StringEquals": {"aws:username": []}}), "no value for the condition key 'aws:username'"),
    (allow(Condition={"StringEquals": "aws:username"}), "an operator 'StringEquals' without an object of keys"),
    (allow(Condition={"StringEquals": {"aws:username": None}}), "a value of a condition that is no text"),
    (allow(Condition={"IpAddress": {"aws:SourceIp": "192.0.2.300"}}), "a value '192.0.2.300'"),
    (allow(Condition={"Bool": {"aws:SecureTransport": "yes"}}), "a value 'yes'"),
    (allow(Condition={"DateLessThan": {"aws:CurrentTime": "tomorrow"}}), "a value 'tomorrow'"),
    (allow(Condition={"NumericLessThan": {"aws:EpochTime": "1e999"}}), "a value '1e999'"),
    (allow(Condition={"StringEquals": {"aws:username": "${who}"}}), "a variable of an unknown key 'who'"),
    (allow(resource="*${who}"), "a variable of an unknown key 'who' - at `Statement[0].Resource`"),
]


@pytest.mark.parametrize(("statement", "message"), REFUSED, ids=[message[:40] for _, message in REFUSED])
def test_what_nobody_understands_may_not_be_put(statement: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidPolicy) as caught:
        check_bucket_policy(json.dumps(document({"Principal": "*", **statement})), S3)
    assert caught.value.message.startswith(f"The policy has {message}")
    assert caught.value.path == "/policy"


@pytest.mark.parametrize(
    "statement",
    [
        allow(Condition={"StringEquals": {"aws:PrincipalOrgID": "o-1"}}),
        allow(Condition={"StringLike": {"aws:UserAgent": "boto3*"}}),
        allow(["s3vectors:*", "s3vectors:Query*"], Sid="x"),
        allow(Principal={"Service": "x.amazonaws.com"}),
    ],
    ids=["org", "agent", "wildcards", "service"],
)
def test_what_the_service_may_know_may_be_put(statement: dict[str, Any]) -> None:
    check_bucket_policy(json.dumps(document({"Principal": "*", **statement})), S3)


def test_policies_of_users() -> None:
    check_user_policy(json.dumps(document(allow(["s3vectors:*", "s3:GetObject", "kendra:Query", "iam:PassRole"]))))
    check_user_policy(json.dumps({"version": "2.0", "statement": [{"effect": "deny", "action": "*", "resource": "*"}]}))
    for wrong in (document(allow(Principal="*")), document(), document(allow("s3vectors:Gets")), [], {"Statement": 1}):
        with pytest.raises(InvalidPolicy, match="The policy has "):
            check_user_policy(json.dumps(wrong))
    with pytest.raises(InvalidPolicy, match="no JSON"):
        check_user_policy("{")


def test_a_credentials_file_with_a_policy_that_is_none_is_refused(tmp_path: Path) -> None:
    head = f'[[users]]\nname = "ana"\naccount = "{ACCOUNT}"\naccess_key = "a"\nsecret_key = "s"\n'
    file = tmp_path / "users.toml"
    statement = '[{Effect = "Allow", Action = "s3vectors:*", Resource = "*"}]'
    file.write_text(f'{head}policies = [{{Version = "2012-10-17", Statement = {statement}}}]')
    (ana,) = read_credentials(file)
    assert json.loads(ana.policies[0]) == document(allow("s3vectors:*"))
    for wrong, message in (
        (statement.replace("s3vectors:*", "s3vectors:Nothing"), "an unknown action 's3vectors:Nothing'"),
        (statement.replace("Allow", "Perhaps"), "an unknown effect 'Perhaps'"),
        (statement.replace("Effect", 'Principal = "*", Effect'), "principals, which a policy of a user has not"),
    ):
        file.write_text(f"{head}policies = [{{Statement = {wrong}}}]")
        with pytest.raises(InvalidRequest, match=r"users\[0\] \(ana\): policies: The policy has ") as caught:
            read_credentials(file)
        assert message in caught.value.message
    twice = json.dumps(document(allow()))[:-1] + ', "Statement": []}'
    file.write_text(f"{head}policies = ['{twice}']")
    with pytest.raises(InvalidRequest, match="a member of an object twice"):
        read_credentials(file)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["*", "Allow", "Deny"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "Version",
                    "Statement",
                    "Effect",
                    "Principal",
                    "Action",
                    "Resource",
                    "Condition",
                    "StringEquals",
                    "AWS",
                ]
            )
            | st.text(max_size=5),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(value=json_values, text=st.text(max_size=30), attached=st.booleans())
def test_any_text_is_read_and_allows_nothing_by_accident(desk: Desk, value: Any, text: str, attached: bool) -> None:
    for each in (json.dumps(value), text, json.dumps({"Statement": value}), json.dumps(document(value))):
        read = read_policy(each, attached=attached)
        allows = [statement for statement in read.statements if statement.allows]
        assert read.faults or read.statements
        if not allows:
            desk.put(None if attached else each)
            assert not desk.may(user(policies=(each,) if attached else ()))
