"""FAQs, and what stands beside them, when a process ends: as it should, and killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from kendra_corpus import BagOfStems

from ragvec.kendra import Client, QueryIndex
from ragvec.kendra.faqs.find import find_faqs
from ragvec.kendra.faqs.stored import questions_index
from ragvec.pipeline import Pipeline
from ragvec.pipeline.embedders import HashingEmbedder
from ragvec.store import Store


def test_indexes_fields_documents_and_faqs_outlive_the_process(tmp_path: Path) -> None:
    with Store(tmp_path / "kept") as store:
        client = Client(store, embedder=BagOfStems())
        uid = client.create_index(Name="Kept", RoleArn="", ClientToken="t")["Id"]
        field = {"Name": "line", "Type": "STRING_VALUE", "Search": {"Facetable": True}}
        client.update_index(Id=uid, DocumentMetadataConfigurationUpdates=[field])
        attributes = [{"Key": "line", "Value": {"StringValue": "North"}}]
        client.batch_put_document(IndexId=uid, Documents=[{"Id": "a", "Blob": b"ferry", "Attributes": attributes}])
        faq_id = client.add_faq(uid, [{"question": "When does the ferry sail?", "answer": "At noon."}])
        before = client.describe_index(Id=uid)
    with Store(tmp_path / "kept") as store:
        client = Client(store, embedder=BagOfStems())
        assert client.create_index(Name="Kept", RoleArn="", ClientToken="t")["Id"] == uid
        assert {**client.describe_index(Id=uid), "ResponseMetadata": 0} == {**before, "ResponseMetadata": 0}
        assert client.describe_faq(IndexId=uid, Id=faq_id)["Status"] == "ACTIVE"
        response = client.query(
            IndexId=uid, QueryText="when does the ferry sail?", Facets=[{"DocumentAttributeKey": "line"}]
        )
        assert {item["Type"] for item in response["ResultItems"]} >= {"QUESTION_ANSWER", "DOCUMENT"}
        assert response["FacetResults"][0]["DocumentAttributeValueCountPairs"][0]["Count"] == 1


_KILLED = """
import os, sys
from ragvec.kendra import QueryIndex
from ragvec.pipeline.embedders import HashingEmbedder
from ragvec.store import Store

class Dying(HashingEmbedder):
    def embed_documents(self, texts):
        if "second batch" in texts[0]:
            os._exit(9)
        return super().embed_documents(texts)

index = Store(sys.argv[1]).bucket("kept").index("pages")
batches = ["first"] * 512 + ["second"] * 88
rows = [{"question": f"question {n} of the {name} batch?", "answer": "x"} for n, name in enumerate(batches)]
QueryIndex(index, embedder=Dying(64)).add_faq(rows, name="killed")
"""


def test_rows_of_a_faq_whose_adding_was_killed_are_not_found(tmp_path: Path) -> None:
    embedder = HashingEmbedder(64)
    with Store(tmp_path / "kept") as store:
        index = store.bucket("kept").index("pages")
        Pipeline(index=index, embedder=embedder).run([], progress=False)
    child = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path / "kept")], capture_output=True, text=True)
    assert child.returncode == 9, child.stderr
    with Store(tmp_path / "kept") as store:
        index = store.bucket("kept").index("pages")
        beside = questions_index(index)
        assert beside is not None
        assert len(beside) == 512
        asked = "question 3 of the first batch?"
        assert find_faqs(index, asked, embed=embedder.embed_query) == []
        QueryIndex(index, embedder=embedder).add_faq([{"question": asked, "answer": "whole"}], name="again")
        assert [hit.answer for hit in find_faqs(index, asked, embed=embedder.embed_query)] == ["whole"]
