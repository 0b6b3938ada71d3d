"""Policies through the vendors' own clients: users, accounts, what denies, and what needs GetVectors too."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ragvec.server.users import User
from tests.wire.serving import ACCOUNT, OWNER, REGION, Serving, serving

boto3 = pytest.importorskip("boto3")

OTHER = "999999999999"
DOCS = f"docs-{ACCOUNT}"
"""A name as COS wants it."""
ARN = f"arn:aws:s3vectors:{REGION}:{ACCOUNT}:bucket"
AT = {"vectorBucketName": DOCS, "indexName": "pages"}
QUERY: dict[str, Any] = {**AT, "topK": 1, "queryVector": {"float32": [1.0, 0.0]}}


def document(*statements: dict[str, Any], version: str = "2012-10-17") -> str:
    return json.dumps({"Version": version, "Statement": list(statements)})


def allow(*actions: str, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource, **more}


def user(name: str, *, account: str = ACCOUNT, policies: tuple[str, ...] = (), owner: bool = False) -> User:
    key = f"AKID{name.upper():0<14}{account[:2]}"
    return User(
        access_key=key, secret_key=f"secret-of-{name}", account=account, name=name, policies=policies, owner=owner
    )


EVERYTHING = document(allow("*"))
ANA = user("ana")
SEEKER = user("seeker", policies=(document(allow("s3vectors:QueryVectors", "s3vectors:ListVectors")),))
WRITER = user("writer", policies=(EVERYTHING,))
STRANGER = user("stranger", account=OTHER)
BOSS = user("boss", account=OTHER, owner=True)
HOME = user(
    "home",
    policies=(document(allow("s3vectors:*", resource=[f"{ARN}/${{aws:username}}", f"{ARN}/${{aws:username}}/*"])),),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    users = (OWNER, ANA, SEEKER, WRITER, STRANGER, BOSS, HOME)
    with serving(tmp_path_factory.mktemp("policies") / "store", users=users) as running:
        client = boto(running)
        client.create_vector_bucket(vectorBucketName=DOCS)
        client.create_index(**AT, dataType="float32", dimension=2, distanceMetric="cosine")
        vectors = [{"key": "a", "data": {"float32": [1.0, 0.5]}, "metadata": {"secret": "x"}}]
        client.put_vectors(**AT, vectors=vectors)
        yield running


def boto(server: Serving, who: User = OWNER) -> Any:
    return boto3.client(
        "s3vectors",
        endpoint_url=server.url,
        region_name=REGION,
        aws_access_key_id=who.access_key,
        aws_secret_access_key=who.secret_key,
    )


@pytest.fixture
def policy(server: Serving) -> Iterator[Callable[..., None]]:
    """Puts a policy on the bucket, and takes it away at the end."""
    client = boto(server)

    def put(*statements: dict[str, Any]) -> None:
        client.put_vector_bucket_policy(vectorBucketName=DOCS, policy=document(*statements))

    yield put
    client.delete_vector_bucket_policy(vectorBucketName=DOCS)


def denied(call: Callable[..., Any], **arguments: Any) -> str:
    """The message of the refusal."""
    with pytest.raises(Exception, match="AccessDenied") as caught:
        call(**arguments)
    response = caught.value.response  # type: ignore[attr-defined]
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert response["Error"]["Code"] == "AccessDeniedException"
    message: str = response["Error"]["Message"]
    return message


def test_a_user_without_rights_has_none(server: Serving) -> None:
    client = boto(server, ANA)
    assert denied(client.get_vectors, **AT, keys=["a"]) == (
        f"User: arn:aws:iam::{ACCOUNT}:user/ana is not authorized to perform: s3vectors:GetVectors on resource: "
        f"{ARN}/{DOCS}/index/pages because no identity-based policy allows the s3vectors:GetVectors action"
    )
    assert f"on resource: {ARN}/new because" in denied(client.create_vector_bucket, vectorBucketName="new")
    assert "on resource: * because" in denied(client.list_vector_buckets)
    assert "AccessDenied" not in str(boto(server).list_vector_buckets())


def test_what_is_absent_is_not_told_to_who_may_not_ask(server: Serving) -> None:
    for name in (DOCS, "none"):
        assert "not authorized" in denied(boto(server, ANA).get_vector_bucket, vectorBucketName=name)
    with pytest.raises(Exception, match="NotFoundException"):
        boto(server).get_vector_bucket(vectorBucketName="none")


def test_the_policy_of_a_bucket_lets_in_and_keeps_out(server: Serving, policy: Callable[..., None]) -> None:
    ana = {"Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/ana"}}
    policy(allow("s3vectors:GetVectors", resource=f"{ARN}/{DOCS}/index/*", **ana))
    assert boto(server, ANA).get_vectors(**AT, keys=["a"])["vectors"][0]["key"] == "a"
    denied(boto(server, ANA).put_vectors, **AT, vectors=[{"key": "b", "data": {"float32": [1.0, 1.0]}}])
    denied(boto(server, STRANGER).get_vectors, **AT, keys=["a"])
    policy(allow("s3vectors:*", Principal="*"), {**allow("s3vectors:DeleteVectors", Principal="*"), "Effect": "Deny"})
    boto(server, STRANGER).get_vectors(**AT, keys=["a"])
    for who in (ANA, WRITER, STRANGER, BOSS, OWNER):
        message = denied(boto(server, who).delete_vectors, **AT, keys=["a"])
        assert message.endswith("with an explicit deny in a resource-based policy")
    assert boto(server).get_vectors(**AT, keys=["a"])["vectors"]


def test_an_owner_cannot_be_locked_out(server: Serving) -> None:
    client = boto(server)
    everything = document({**allow("s3vectors:*", Principal="*"), "Effect": "Deny"})
    client.put_vector_bucket_policy(vectorBucketName=DOCS, policy=everything)
    denied(client.get_vector_bucket, vectorBucketName=DOCS)
    denied(boto(server, WRITER).delete_vector_bucket_policy, vectorBucketName=DOCS)
    assert client.get_vector_bucket_policy(vectorBucketName=DOCS)["policy"] == everything
    client.delete_vector_bucket_policy(vectorBucketName=DOCS)
    assert client.get_vector_bucket(vectorBucketName=DOCS)


def test_another_account_is_named_or_stays_out(server: Serving, policy: Callable[..., None]) -> None:
    message = denied(boto(server, BOSS).get_vector_bucket, vectorBucketName=DOCS)
    assert message.endswith("because no resource-based policy allows the s3vectors:GetVectorBucket action")
    denied(boto(server, BOSS).list_vector_buckets)
    denied(boto(server, BOSS).create_vector_bucket, vectorBucketName="theirs")
    policy(allow("s3vectors:GetVectorBucket", Principal={"AWS": f"arn:aws:iam::{OTHER}:root"}))
    boto(server, BOSS).get_vector_bucket(vectorBucketName=DOCS)
    denied(boto(server, STRANGER).get_vector_bucket, vectorBucketName=DOCS)
    denied(boto(server, ANA).get_vector_bucket, vectorBucketName=DOCS)


def test_what_tells_of_metadata_needs_get_vectors_too(server: Serving, policy: Callable[..., None]) -> None:
    seeker = boto(server, SEEKER)
    assert seeker.query_vectors(**QUERY, returnDistance=True)["vectors"][0]["key"] == "a"
    assert seeker.list_vectors(**AT)["vectors"] == [{"key": "a"}]
    for more in ({"filter": {"secret": "x"}}, {"returnMetadata": True}):
        assert "s3vectors:GetVectors" in denied(seeker.query_vectors, **QUERY, **more)
    for more in ({"returnData": True}, {"returnMetadata": True}):
        assert "s3vectors:GetVectors" in denied(seeker.list_vectors, **AT, **more)
    policy(allow("s3vectors:GetVectors", Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:user/seeker"}))
    assert seeker.query_vectors(**QUERY, returnMetadata=True)["vectors"][0]["metadata"] == {"secret": "x"}
    assert seeker.list_vectors(**AT, returnData=True)["vectors"][0]["data"]


def test_a_variable_gives_each_user_a_bucket(server: Serving) -> None:
    client = boto(server, HOME)
    client.create_vector_bucket(vectorBucketName="home")
    client.create_index(
        vectorBucketName="home", indexName="own", dataType="float32", dimension=2, distanceMetric="cosine"
    )
    denied(client.get_index, **AT)
    denied(client.get_index, indexArn=f"{ARN}/{DOCS}/index/pages")
    client.delete_index(indexArn=f"{ARN}/home/index/own")
    client.delete_vector_bucket(vectorBucketArn=f"{ARN}/home")


def test_conditions_on_encryption_tags_and_connection(server: Serving) -> None:
    client = boto(server)
    client.put_vector_bucket_policy(
        vectorBucketName=DOCS,
        policy=document(
            {
                **allow("s3vectors:CreateIndex", Principal="*"),
                "Effect": "Deny",
                "Condition": {"StringNotEquals": {"s3vectors:sseType": "AES256"}},
            },
            {
                **allow("s3vectors:CreateIndex", Principal="*"),
                "Effect": "Deny",
                "Condition": {"ForAnyValue:StringNotLike": {"aws:TagKeys": ["team*"]}},
            },
            {
                **allow("s3vectors:PutVectors", Principal="*"),
                "Effect": "Deny",
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            },
        ),
    )
    try:
        made = {"vectorBucketName": DOCS, "indexName": "more", "dataType": "float32", "dimension": 2}
        made |= {"distanceMetric": "cosine"}
        encrypted = {**made, "encryptionConfiguration": {"sseType": "AES256"}}
        denied(client.create_index, **made)
        denied(client.create_index, **encrypted, tags={"team": "a", "owner": "b"})
        client.create_index(**encrypted, tags={"team": "a", "team2": "b"})
        client.delete_index(vectorBucketName=DOCS, indexName="more")
        denied(client.put_vectors, **AT, vectors=[{"key": "b", "data": {"float32": [1.0, 1.0]}}])
    finally:
        client.delete_vector_bucket_policy(vectorBucketName=DOCS)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (allow("s3vectors:Gets", Principal="*"), "an unknown action 's3vectors:Gets'"),
        (allow("*", Principal={"AWS": "ana"}), "an unknown principal 'ana'"),
        (allow("*", Principal="*", Condition={"Is": {"aws:username": "a"}}), "an unknown condition operator 'Is'"),
        (allow("*", Principal="*", Condition={"Bool": {"x": "true"}}), "an unknown condition key 'x'"),
    ],
    ids=["action", "principal", "operator", "key"],
)
def test_a_policy_that_nobody_understands_is_not_taken(
    server: Serving, statement: dict[str, Any], message: str
) -> None:
    client = boto(server)
    with pytest.raises(client.exceptions.ValidationException) as caught:
        client.put_vector_bucket_policy(vectorBucketName=DOCS, policy=document(statement))
    error = caught.value.response
    assert message in error["Error"]["Message"]
    assert error["fieldList"][0]["path"] == "/policy"


# -- the other services ------------------------------------------------------------------------------------------------


def oss_reads(server: Serving, who: User) -> str:
    oss = pytest.importorskip("alibabacloud_oss_v2")
    from alibabacloud_oss_v2.vectors import models

    from tests.wire.oss_client import connect

    try:
        connect(server, who).get_vectors(models.GetVectorsRequest(bucket=DOCS, index_name="pages", keys=["a"]))
    except oss.exceptions.OperationError as error:
        cause: Any = error.unwrap()
        return f"{cause.status_code} {cause.code}"
    return "allowed"


def cos_reads(server: Serving, who: User) -> str:
    pytest.importorskip("qcloud_cos")
    import requests
    from qcloud_cos import CosConfig, CosServiceError
    from qcloud_cos.cos_vectors_client import CosVectorsClient

    domain = f"{server.host}:{server.port}"
    config = CosConfig(
        Region="ap-guangzhou", SecretId=who.access_key, SecretKey=who.secret_key, Scheme="http", Domain=domain
    )
    with requests.Session() as session:
        try:
            CosVectorsClient(config, session=session).get_vectors(DOCS, "pages", ["a"])
        except CosServiceError as error:
            return f"{error.get_status_code()} {error.get_error_code()}"
    return "allowed"


def tos_reads(server: Serving, who: User) -> str:
    pytest.importorskip("tos")
    from tos.exceptions import TosServerError
    from tos.vector_client import VectorClient

    client = VectorClient(
        ak=who.access_key,
        sk=who.secret_key,
        endpoint="http://tosvectors-cn-beijing.volces.com",
        region="cn-beijing",
        proxy_host=server.host,
        proxy_port=server.port,
        max_retry_count=0,
    )
    try:
        client.get_vectors(DOCS, ACCOUNT, "pages", ["a"])
    except TosServerError as error:
        return f"{error.status_code} {error.code}"
    finally:
        client.session.close()
    return "allowed"


def s3_reads(server: Serving, who: User) -> str:
    client = boto(server, who)
    try:
        client.get_vectors(**AT, keys=["a"])
    except client.exceptions.ClientError as error:
        response = error.response
        return f"{response['ResponseMetadata']['HTTPStatusCode']} {response['Error']['Code']}"
    return "allowed"


READS = {"s3": s3_reads, "oss": oss_reads, "cos": cos_reads, "tos": tos_reads}
CODES = {"oss": "403 AccessDenied"}
PUT: dict[str, tuple[str, Any, str, str]] = {
    "s3": ("2012-10-17", {"AWS": f"arn:aws:iam::{ACCOUNT}:user/ana"}, "s3vectors:GetVectors", f"{ARN}/{DOCS}/index/*"),
    "oss": ("1", [f"acs:ram::{ACCOUNT}:user/ana"], "oss:GetVectors", f"acs:ossvector:*:{ACCOUNT}:bucket/{DOCS}/*"),
    "tos": ("2025-12-01", [f"{ACCOUNT}/ana"], "tosvectors:GetVectors", f"trn:tosvectors:*:{ACCOUNT}:bucket/{DOCS}/*"),
}


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
@pytest.mark.parametrize("written", sorted(PUT))
@pytest.mark.parametrize("service", sorted(READS))
def test_a_policy_of_any_service_counts_for_all(server: Serving, service: str, written: str) -> None:
    from ragvec.store import Store

    reads, refused = READS[service], CODES.get(service, "403 AccessDeniedException")
    version, principal, action, resource = PUT[written]
    with Store(server.store) as store:
        catalog = store.engine.catalog
        statement = allow(action, resource=[resource], Principal=principal)
        try:
            assert reads(server, ANA) == refused
            catalog.put_policy(DOCS, document(statement, version=version))
            assert reads(server, ANA) == "allowed"
            assert reads(server, STRANGER) == refused
            assert reads(server, OWNER) == "allowed"
            everybody = {**statement, "Effect": "Deny", "Principal": ["*"] if written != "s3" else "*"}
            catalog.put_policy(DOCS, document(statement, everybody, version=version))
            assert reads(server, ANA) == refused
            assert reads(server, OWNER) == refused
        finally:
            catalog.delete_policy(DOCS)


def test_every_worker_goes_by_a_policy_at_once(tmp_path: Path) -> None:
    with serving(tmp_path / "store", users=(OWNER, ANA), workers=2, dialects="s3vectors") as running:
        owner = boto(running)
        owner.create_vector_bucket(vectorBucketName=DOCS)
        # Connections of their own, so that both workers answer.
        clients = [boto(running, ANA) for _ in range(8)]

        def allowed() -> set[bool]:
            seen = set()
            for client in clients:
                try:
                    client.get_vector_bucket(vectorBucketName=DOCS)
                    seen.add(True)
                except client.exceptions.AccessDeniedException:
                    seen.add(False)
            return seen

        for _ in range(3):
            assert allowed() == {False}
            text = document(allow("s3vectors:GetVectorBucket", Principal="*"))
            owner.put_vector_bucket_policy(vectorBucketName=DOCS, policy=text)
            assert allowed() == {True}
            owner.delete_vector_bucket_policy(vectorBucketName=DOCS)
