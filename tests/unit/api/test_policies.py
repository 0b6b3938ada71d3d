"""Bucket policies: what is accepted in each dialect, kept letter by letter, and refused with the place at fault."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from ragvec.api.client import Client
from ragvec.api.dialects import DIALECTS
from ragvec.api.policies import check_policy
from ragvec.errors import InvalidPolicy

STATEMENT = {
    "Sid": "1",
    "Effect": "Allow",
    "Principal": "*",
    "Action": ["s3vectors:*"],
    "Resource": "*",
    "Condition": {},
}
S3_POLICY = {"Version": "2012-10-17", "Id": "p", "Statement": [STATEMENT]}

ACCEPTED = [
    ("s3", S3_POLICY),
    ("s3", {"Version": "2008-10-17", "Statement": STATEMENT}),
    ("s3", {"Version": "2012-10-17", "Statement": [{**STATEMENT, "Principal": {"AWS": ["arn:aws:iam::1:root"]}}]}),
    (
        "s3",
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Deny", "NotPrincipal": {"AWS": "1"}, "NotAction": "a", "Resource": "r"}],
        },
    ),
    (
        "oss",
        {
            "Version": "1",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": ["123"],
                    "Action": ["oss:GetVectors"],
                    "Resource": ["acs:ossvector:*:*:b"],
                }
            ],
        },
    ),
    (
        "cos",
        {
            "version": "2.0",
            "statement": [
                {
                    "effect": "allow",
                    "principal": {"qcs": ["qcs::cam::anyone:anyone"]},
                    "action": ["name/cos:*"],
                    "resource": ["*"],
                }
            ],
        },
    ),
    (
        "cos",
        {
            "Version": "2.0",
            "Statement": [
                {"Effect": "deny", "Principal": {"qcs": ["*"]}, "Action": ["*"], "Resource": ["*"], "condition": {}}
            ],
        },
    ),
    (
        "tos",
        {
            "Version": "2025-12-01",
            "Statement": [{"Effect": "Allow", "Principal": ["2100/user"], "Action": "tosvectors:*", "Resource": "*"}],
        },
    ),
]

REFUSED: list[tuple[str, str, str]] = [
    ("s3", "no json", "must be a JSON object; the text is no JSON"),
    ("s3", "", "must be a JSON object; the text is no JSON"),
    ("s3", "[]", "The policy must be an object; got []"),
    ("s3", '{"Statement":[]}', 'must have the Version "2012-10-17" or "2008-10-17"; got null - at `Version`'),
    ("s3", json.dumps({**S3_POLICY, "Version": "1"}), 'got "1" - at `Version`'),
    (
        "s3",
        json.dumps({**S3_POLICY, "Statement": []}),
        "must have a non-empty list of statements; got [] - at `Statement`",
    ),
    ("s3", json.dumps({**S3_POLICY, "Other": 1}), "may have only Version, Id, Statement; got 'Other'"),
    (
        "s3",
        json.dumps({**S3_POLICY, "Statement": [STATEMENT, 5]}),
        "A statement of the policy must be an object; got 5 - at `Statement[1]`",
    ),
    (
        "s3",
        json.dumps({**S3_POLICY, "Statement": {**STATEMENT, "Effect": "allow"}}),
        'must have the Effect Allow or Deny; got "allow" - at `Statement[0].Effect`',
    ),
    (
        "s3",
        json.dumps({**S3_POLICY, "Statement": {**STATEMENT, "NotAction": "x"}}),
        "must have one of Action and NotAction; got both - at `Statement[0]`",
    ),
    (
        "s3",
        json.dumps({**S3_POLICY, "Statement": {**STATEMENT, "Resource": []}}),
        "must name resources as text; got [] - at `Statement[0].Resource`",
    ),
    (
        "s3",
        json.dumps({**S3_POLICY, "Statement": {**STATEMENT, "Principal": {"AWS": 1}}}),
        "must name principals as text",
    ),
    ("s3", json.dumps({**S3_POLICY, "Statement": {**STATEMENT, "Condition": "x"}}), "must have an object as Condition"),
    (
        "s3",
        json.dumps({**S3_POLICY, "Statement": {**STATEMENT, "Actions": "x"}}),
        "may have only Sid, Effect, Principal",
    ),
    ("s3", json.dumps({"version": "2012-10-17", "statement": STATEMENT}), "got 'statement'"),
    ("oss", json.dumps({"Version": "1", "Statement": STATEMENT}), "must have a non-empty list of statements"),
    ("oss", json.dumps(S3_POLICY), 'must have the Version "1"'),
    (
        "cos",
        json.dumps({"version": "2.0", "Version": "2.0", "statement": [STATEMENT]}),
        "one is there in two spellings",
    ),
]

WITHOUT = [
    {key: value for key, value in STATEMENT.items() if key != name} for name in ("Principal", "Action", "Resource")
]


@pytest.mark.parametrize(("dialect", "document"), ACCEPTED)
def test_policies_of_each_dialect_are_accepted_there_and_natively(dialect: str, document: dict[str, Any]) -> None:
    check_policy(json.dumps(document), DIALECTS[dialect].policies)
    check_policy(json.dumps(document), DIALECTS["native"].policies)


@pytest.mark.parametrize(("dialect", "text", "words"), REFUSED)
def test_other_documents_are_refused_with_the_place(dialect: str, text: str, words: str) -> None:
    with pytest.raises(InvalidPolicy) as caught:
        check_policy(text, DIALECTS[dialect].policies)
    assert words in caught.value.message
    assert caught.value.path == "/policy"


@pytest.mark.parametrize("statement", WITHOUT)
def test_a_statement_needs_principal_action_and_resource(statement: dict[str, Any]) -> None:
    with pytest.raises(InvalidPolicy, match=r"must have one of (\w+) and Not\1; got neither"):
        check_policy(json.dumps({**S3_POLICY, "Statement": statement}), DIALECTS["s3"].policies)


def test_a_policy_comes_back_as_it_was_put(
    client: Client, index_of: Callable[..., dict[str, str]], refusal: Callable[..., Any]
) -> None:
    index_of(client)
    bucket = {"vectorBucketName": "docs"}
    text = "  " + json.dumps(S3_POLICY, indent=3) + "\n"

    assert refusal(client.get_vector_bucket_policy, **bucket).response["Error"]["Code"] == "NotFoundException"
    client.put_vector_bucket_policy(**bucket, policy=text)
    assert client.get_vector_bucket_policy(**bucket)["policy"] == text
    assert refusal(client.put_vector_bucket_policy, **bucket, policy="{}").response["fieldList"][0]["path"] == "/policy"
    assert client.get_vector_bucket_policy(**bucket)["policy"] == text
    client.delete_vector_bucket_policy(**bucket)
    client.delete_vector_bucket_policy(**bucket)
    refusal(client.get_vector_bucket_policy, **bucket)


def test_policies_of_absent_buckets(client: Client, refusal: Callable[..., Any]) -> None:
    absent = {"vectorBucketName": "absent"}
    for call, arguments in [
        (client.get_vector_bucket_policy, absent),
        (client.put_vector_bucket_policy, {**absent, "policy": json.dumps(S3_POLICY)}),
        (client.delete_vector_bucket_policy, absent),
    ]:
        assert "The specified vector bucket could not be found" in str(refusal(call, **arguments))
