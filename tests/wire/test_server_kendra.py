"""boto3's kendra client, unmodified, against a server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ragvec.kendra import Client
from ragvec.kendra.operations.data_sources import REFUSED
from ragvec.server.users import User
from ragvec.store import Store
from tests.wire.kendra_exchanges import FOLDER, normal, session, write_files
from tests.wire.serving import ACCOUNT, OWNER, REGION, Serving, serving

boto3 = pytest.importorskip("boto3")

AWS = Path(sys.executable).with_name("aws")

READER = User(
    access_key="AKIDREADER00000000",
    secret_key="secret-of-the-reader",
    account=ACCOUNT,
    name="reader",
    policies=(
        json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {"Effect": "Allow", "Action": ["kendra:List*", "kendra:Describe*"], "Resource": "*"},
                    {"Effect": "Deny", "Action": "kendra:DescribeFaq", "Resource": "*"},
                ],
            }
        ),
    ),
)
STRANGER = User(
    access_key="AKIDSTRANGER000000", secret_key="another-secret", account="999999999999", name="s", owner=True
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("kendra")
    write_files(folder / "own")
    flags = ("--folder", f"{FOLDER}={folder / 'own'}")
    prepared(folder / "store")
    with serving(folder / "store", users=(OWNER, READER, STRANGER), dialects="kendra", flags=flags) as running:
        yield running


def prepared(path: Path) -> str:
    """The id of a new index in a new store, whose texts are embedded without a model."""
    with Store(path) as store:
        uid: str = Client(store, embedder="hashing:64").create_index(Name="ferries", RoleArn="r")["Id"]
        return uid


def client_of(server: Serving, user: User = OWNER, **more: Any) -> Any:
    return boto3.client(
        "kendra",
        endpoint_url=server.url,
        region_name=REGION,
        aws_access_key_id=user.access_key,
        aws_secret_access_key=user.secret_key,
        **more,
    )


def sdk(*operations: str) -> Callable[[Any], Any]:
    def marked(function: Any) -> Any:
        for operation in operations:
            function = pytest.mark.sdk("boto3", operation)(function)
        return function

    return marked


OFFERED = tuple(sorted(set(Client(None).meta.service_model.operation_names) - set(REFUSED.values())))  # type: ignore[arg-type]


@sdk(*OFFERED)
def test_every_operation_answers_as_the_client_of_this_process(server: Serving, tmp_path: Path) -> None:
    theirs, ours = [], []
    client = client_of(server)

    def over_http(method: str, **members: Any) -> dict[str, Any]:
        response: dict[str, Any] = getattr(client, method)(**members)
        assert response["ResponseMetadata"]["HTTPStatusCode"] == 200
        assert (
            response["ResponseMetadata"]["RequestId"] == response["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"]
        )
        theirs.append((method, normal(response)))
        return response

    (uid,) = (
        each["Id"] for each in client.list_indices()["IndexConfigurationSummaryItems"] if each["Name"] == "ferries"
    )
    session(over_http, uid)
    write_files(tmp_path / "own")
    uid = prepared(tmp_path / "store")
    with Store(tmp_path / "store") as store:
        here = Client(store, account=ACCOUNT, region=REGION, folders={FOLDER: tmp_path / "own"})

        def in_process(method: str, **members: Any) -> dict[str, Any]:
            response: dict[str, Any] = getattr(here, method)(**members)
            ours.append((method, normal(response)))
            return response

        session(in_process, uid)
    for got, expected in zip(theirs, ours, strict=True):
        assert got == expected
    assert {client.meta.method_to_api_mapping[method] for method, _ in theirs} == set(OFFERED)


def test_the_endpoint_of_the_environment_and_a_path_before_it_are_kept(
    server: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_KENDRA", f"{server.url}/pre/fix")
    keys = {"aws_access_key_id": OWNER.access_key, "aws_secret_access_key": OWNER.secret_key}
    client = boto3.client("kendra", region_name=REGION, **keys)
    assert client.meta.endpoint_url == f"{server.url}/pre/fix"
    assert client.list_indices()["IndexConfigurationSummaryItems"]


@pytest.mark.skipif(not AWS.exists(), reason="the AWS CLI is not installed beside this Python")
def test_the_aws_cli_asks_too(server: Serving, tmp_path: Path) -> None:
    uid = client_of(server).create_index(Name="by-cli", RoleArn="r")["Id"]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_ACCESS_KEY_ID": OWNER.access_key,
        "AWS_SECRET_ACCESS_KEY": OWNER.secret_key,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": server.url,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    command = [str(AWS), "--output", "json", "kendra", "describe-index", "--id", uid]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    described = json.loads(done.stdout)
    assert (described["Name"], described["Status"]) == ("by-cli", "ACTIVE")


@pytest.mark.parametrize("method", sorted(REFUSED))
def test_what_is_not_offered_is_refused_by_name(server: Serving, method: str) -> None:
    client = client_of(server)
    with pytest.raises(client.exceptions.ValidationException) as caught:
        client._make_api_call(REFUSED[method], _least(client, REFUSED[method]))
    assert caught.value.response["Error"]["Message"].startswith(f"{REFUSED[method]} is not offered")


def _least(client: Any, operation: str) -> dict[str, Any]:
    """The least request that boto3 sends."""

    def made(shape: Any) -> Any:
        least = shape.metadata.get("min", 0)
        if shape.type_name == "structure":
            return {name: made(shape.members[name]) for name in shape.required_members}
        if shape.type_name == "list":
            return [made(shape.member)] * max(least, 1)
        return {"string": "x" * max(least, 1), "integer": 1, "boolean": True}[shape.type_name]

    shape = client.meta.service_model.operation_model(operation).input_shape
    request: dict[str, Any] = made(shape)
    return request


def test_errors_are_those_of_the_service(server: Serving) -> None:
    client, absent = client_of(server), "0" * 36
    with pytest.raises(client.exceptions.ResourceNotFoundException) as missing:
        client.query(IndexId=absent, QueryText="x")
    assert missing.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert absent in missing.value.response["Error"]["Message"]
    with pytest.raises(client.exceptions.ValidationException):
        client.query(IndexId="-" * 36 + "x", QueryText="x")
    with pytest.raises(client.exceptions.ResourceUnavailableException):
        client.list_tags_for_resource(ResourceARN=f"arn:aws:kendra:us-east-1:{ACCOUNT}:index/{absent}")
    uid = client.create_index(Name="conflicts", RoleArn="r")["Id"]
    with pytest.raises(client.exceptions.ResourceAlreadyExistException):
        client.create_index(Name="conflicts", RoleArn="r")
    one = client.create_featured_results_set(IndexId=uid, FeaturedResultsSetName="One", QueryTexts=["bike"])
    with pytest.raises(client.exceptions.FeaturedResultsConflictException) as conflict:
        client.create_featured_results_set(IndexId=uid, FeaturedResultsSetName="Two", QueryTexts=["Bike"])
    (item,) = conflict.value.response["ConflictingItems"]
    assert item["SetId"] == one["FeaturedResultsSet"]["FeaturedResultsSetId"]


def test_who_may_do_what(server: Serving) -> None:
    uid = client_of(server).create_index(Name="rights", RoleArn="r")["Id"]
    reader = client_of(server, READER)
    assert reader.describe_index(Id=uid)["Name"] == "rights"
    assert reader.list_indices()["IndexConfigurationSummaryItems"]
    arn = f"arn:aws:kendra:{REGION}:{ACCOUNT}:index/{uid}"
    who = f"User: arn:aws:iam::{ACCOUNT}:user/reader is not authorized to perform"
    with pytest.raises(reader.exceptions.AccessDeniedException) as denied:
        reader.query(IndexId=uid, QueryText="x")
    assert denied.value.response["Error"]["Message"] == (
        f"{who}: kendra:Query on resource: {arn} because no identity-based policy allows the kendra:Query action"
    )
    with pytest.raises(reader.exceptions.AccessDeniedException) as denied:
        reader.describe_faq(IndexId=uid, Id="f")
    assert denied.value.response["Error"]["Message"] == (
        f"{who}: kendra:DescribeFaq on resource: {arn} with an explicit deny in an identity-based policy"
    )
    with pytest.raises(reader.exceptions.AccessDeniedException):
        # Another account in the name does not make it another index.
        reader.tag_resource(ResourceARN=f"arn:aws:kendra:eu-west-1:1:index/{uid}", Tags=[])
    stranger = client_of(server, STRANGER)
    with pytest.raises(stranger.exceptions.AccessDeniedException):
        stranger.describe_index(Id=uid)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"aws_access_key_id": "AKIDNOBODY00000000"}, "InvalidClientTokenId"),
        ({"aws_secret_access_key": "no secret"}, "InvalidSignatureException"),
        ({"aws_session_token": "token"}, "InvalidClientTokenId"),
    ],
    ids=["key", "secret", "token"],
)
def test_who_cannot_sign_is_refused(server: Serving, change: dict[str, str], code: str) -> None:
    keys = {"aws_access_key_id": OWNER.access_key, "aws_secret_access_key": OWNER.secret_key, **change}
    client = boto3.client("kendra", endpoint_url=server.url, region_name=REGION, **keys)
    with pytest.raises(client.exceptions.ClientError) as caught:
        client.list_indices()
    assert caught.value.response["Error"]["Code"] == code


def sent(
    server: Serving, target: str | None, body: bytes, *, method: str = "POST", sign: bool = True
) -> tuple[int, Any]:
    """Status and document of a request that is signed as it should be, whatever is in it."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    headers = {"Content-Type": "application/x-amz-json-1.1"}
    if target is not None:
        headers["X-Amz-Target"] = target
    request = AWSRequest(method, server.url + "/", headers=headers, data=body)
    if sign:
        SigV4Auth(Credentials(OWNER.access_key, OWNER.secret_key), "kendra", REGION).add_auth(request)
    plain = urllib.request.Request(server.url + "/", data=body, headers=dict(request.headers), method=method)
    try:
        with urllib.request.urlopen(plain, timeout=30) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


QUERY = "AWSKendraFrontendService.Query"


@pytest.mark.parametrize(
    ("target", "body", "status", "code"),
    [
        ("AWSKendraFrontendService.Nothing", b"{}", 400, "UnknownOperationException"),
        ("AWSKendraFrontendService", b"{}", 400, "UnknownOperationException"),
        (None, b"{}", 400, "UnknownOperationException"),
        (QUERY, b"{", 400, "SerializationException"),
        (QUERY, b"[]", 400, "SerializationException"),
        (QUERY, b"\xff", 400, "SerializationException"),
        (QUERY, b"[" * 100_000, 400, "SerializationException"),
        (QUERY, b'{"IndexId": 1}', 400, "SerializationException"),
        (QUERY, b'{"IndexId": 1, "self": 1}', 400, "ValidationException"),
        (QUERY, b'{"IndexId": "%s", "QueryText": 1}' % (b"0" * 36), 400, "SerializationException"),
        (QUERY, b'{"IndexId": "%s", "PageSize": 1e999}' % (b"0" * 36), 400, "SerializationException"),
        (QUERY, b'{"IndexId": "%s", "self": 1}' % (b"0" * 36), 400, "ValidationException"),
        (QUERY, b"{}", 400, "ValidationException"),
        (QUERY, b"", 400, "ValidationException"),
        ("com.amazonaws.kendra.AWSKendraFrontendService.ListIndices", b"{}", 200, None),
        ("AWSKendraFrontendService.ListIndices", b'{"NextToken": null}', 200, None),
        (
            "AWSKendraFrontendService.BatchPutDocument",
            b'{"IndexId": "%s", "Documents": [{"Id": "a", "Blob": "not base64!"}]}' % (b"0" * 36),
            400,
            "SerializationException",
        ),
        ("AWSKendraFrontendService.CreateExperience", b"{}", 400, "ValidationException"),
    ],
    ids=lambda value: None if isinstance(value, (int, type(None))) else repr(value)[:40],
)
def test_requests_that_no_sdk_sends(
    server: Serving, target: str | None, body: bytes, status: int, code: str | None
) -> None:
    got, document = sent(server, target, body)
    assert (got, document.get("__type")) == (status, code)
    assert bool(document.get("message")) == (code is not None)


def test_an_unsigned_request_and_another_method_are_refused(server: Serving) -> None:
    assert sent(server, QUERY, b"{}", sign=False) == (
        403,
        {"__type": "MissingAuthenticationToken", "message": "The request is not signed"},
    )
    status, document = sent(server, QUERY, b"{}", method="PUT")
    assert (status, document["__type"]) == (405, "UnknownOperationException")
