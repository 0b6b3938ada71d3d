"""Responses about indexes, documents, FAQs and tags, and the errors they end in, against AWS's own service model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from ragvec.kendra import Client
from ragvec.store import Store

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "kendra"))
from kendra_corpus import BagOfStems

MODEL: Any = botocore.session.get_session().get_service_model("kendra")
ABSENT = "00000000-0000-4000-8000-000000000000"


class Checked:
    """A client whose every response is held against the output shape of its operation."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.seen: set[str] = set()

    def __getattr__(self, method: str) -> Any:
        operation = self.client.meta.method_to_api_mapping[method]

        def call(**members: Any) -> dict[str, Any]:
            response: dict[str, Any] = getattr(self.client, method)(**members)
            content = {name: value for name, value in response.items() if name != "ResponseMetadata"}
            shape = MODEL.operation_model(operation).output_shape
            if shape is None:
                assert content == {}
            else:
                assert ParamValidator().validate(content, shape).generate_report() == ""
            self.seen.add(operation)
            return response

        return call


@pytest.fixture
def client(tmp_path: Path) -> Any:
    (tmp_path / "faq.json").write_text(
        '{"SchemaVersion": 1, "FaqDocuments": [{"Question": "When does the ferry sail?", "Answer": "At noon."}]}',
        encoding="utf-8",
    )
    (tmp_path / "bad.csv").write_text("no answer", encoding="utf-8")
    with Store(tmp_path / "store") as store:
        yield Client(store, embedder=BagOfStems(), folders={"own": tmp_path})


def test_responses_have_the_shapes_of_the_service(client: Client) -> None:
    checked = Checked(client)
    tokens = [{"JwtTokenTypeConfiguration": {"KeyLocation": "URL", "URL": "https://keys.example/jwks"}}]
    uid = checked.create_index(Name="ferries", RoleArn="r", ServerSideEncryptionConfiguration={"KmsKeyId": "k"})["Id"]
    for kind in ("STRING", "STRING_LIST", "LONG", "DATE"):
        field = {"Name": f"of-{kind}", "Type": f"{kind}_VALUE", "Relevance": {"Importance": 3}}
        checked.update_index(Id=uid, UserTokenConfigurations=tokens, DocumentMetadataConfigurationUpdates=[field])
    checked.list_indices(MaxResults=1)
    checked.describe_index(Id=uid)
    documents = [
        {"Id": "a", "Blob": b"The ferry sails."},
        {"Id": "b", "Blob": b"x", "Attributes": [{"Key": "c", "Value": {}}]},
    ]
    assert checked.batch_put_document(IndexId=uid, Documents=documents)["FailedDocuments"]
    checked.batch_get_document_status(IndexId=uid, DocumentInfoList=[{"DocumentId": "a"}, {"DocumentId": "z"}])
    assert checked.batch_delete_document(IndexId=uid, DocumentIdList=["a", "z"])["FailedDocuments"]
    for key, kind in (("faq.json", "JSON"), ("bad.csv", "CSV")):
        path = {"Bucket": "own", "Key": key}
        faq = checked.create_faq(IndexId=uid, Name="faq", S3Path=path, RoleArn="r", FileFormat=kind)["Id"]
        checked.describe_faq(IndexId=uid, Id=faq)
    assert checked.list_faqs(IndexId=uid, MaxResults=1)["NextToken"]
    checked.delete_faq(IndexId=uid, Id=faq)
    arn = f"arn:aws:kendra:local:000000000000:index/{uid}"
    checked.tag_resource(ResourceARN=arn, Tags=[{"Key": "a", "Value": "b"}])
    checked.list_tags_for_resource(ResourceARN=arn)
    checked.untag_resource(ResourceARN=arn, TagKeys=["a"])
    checked.list_data_sources(IndexId=uid)
    checked.delete_index(Id=uid)
    assert len(checked.seen) == 16


CALLS: dict[str, dict[str, Any]] = {
    "describe_index": {"Id": ABSENT},
    "update_index": {"Id": ABSENT},
    "delete_index": {"Id": ABSENT},
    "batch_put_document": {"IndexId": ABSENT, "Documents": [{"Id": "a", "Blob": b"x"}]},
    "batch_delete_document": {"IndexId": ABSENT, "DocumentIdList": ["a"]},
    "batch_get_document_status": {"IndexId": ABSENT, "DocumentInfoList": [{"DocumentId": "a"}]},
    "create_faq": {"IndexId": ABSENT, "Name": "a", "S3Path": {"Bucket": "own", "Key": "faq.json"}, "RoleArn": ""},
    "describe_faq": {"IndexId": ABSENT, "Id": "a"},
    "delete_faq": {"IndexId": ABSENT, "Id": "a"},
    "list_faqs": {"IndexId": ABSENT},
    "list_data_sources": {"IndexId": ABSENT},
    "tag_resource": {"ResourceARN": f"arn:aws:kendra:x:0:index/{ABSENT}", "Tags": []},
    "untag_resource": {"ResourceARN": f"arn:aws:kendra:x:0:index/{ABSENT}", "TagKeys": []},
    "list_tags_for_resource": {"ResourceARN": f"arn:aws:kendra:x:0:index/{ABSENT}"},
}


@pytest.mark.parametrize("method", sorted(CALLS))
def test_what_is_absent_is_told_by_an_error_of_the_operation(client: Client, method: str) -> None:
    operation = MODEL.operation_model(client.meta.method_to_api_mapping[method])
    with pytest.raises(client.exceptions.ClientError) as caught:
        getattr(client, method)(**CALLS[method])
    code = caught.value.response["Error"]["Code"]
    assert code in {shape.name for shape in operation.error_shapes}
    assert code == ("ResourceUnavailableException" if "tag" in method else "ResourceNotFoundException")


def test_every_error_of_the_service_can_be_caught_by_name(client: Client) -> None:
    for shape in MODEL.error_shapes:
        assert issubclass(getattr(client.exceptions, shape.name), client.exceptions.ClientError)
