"""AmazonKendraRetriever of langchain-aws where Retrieve finds nothing and it asks Query: every kind of item is read."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ragvec.kendra import Client, QueryIndex, Settings
from ragvec.kendra.answers.reader import Levels, ReadSpan
from ragvec.store import Index, Store

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "kendra"))
from kendra_corpus import FERRIES, TYPES, BagOfStems, fill

retrievers = pytest.importorskip("langchain_aws.retrievers")


class Number:
    """A reader that answers with the first number of a passage."""

    levels = Levels(least=0.1, high=0.5, very_high=0.9)

    def read(self, question: str, passages: Any) -> list[ReadSpan]:
        places = [(n, next((i for i, c in enumerate(text) if c.isdigit()), None)) for n, text in enumerate(passages)]
        return [ReadSpan(n, place, place + 1, 0.95) for n, place in places if place is not None]


class WithoutRetrieve(Client):
    """As a service on whose index Retrieve finds nothing."""

    def retrieve(self, **members: Any) -> dict[str, Any]:
        return {**super().retrieve(**members), "ResultItems": []}


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Store(tmp_path / "store") as store:
        index = fill(store, FERRIES, types=TYPES)
        faq = [
            {
                "question": "Must I reserve a bicycle space?",
                "answer": "No.  First come,\nfirst served.",
                "attributes": {"_category": "help"},
            }
        ]
        QueryIndex(index, embedder=BagOfStems()).add_faq(faq, name="faq")
        yield index


def retriever(client: Client, index: Index, **options: Any) -> Any:
    return retrievers.AmazonKendraRetriever(
        index_id=index.uid, client=client, **{"top_k": 10, "min_score_confidence": 0.0, **options}
    )


def test_a_question_that_only_a_faq_answers_falls_back_to_query(index: Index) -> None:
    client = Client(index.bucket.store, embedder=BagOfStems())
    of_faqs = {"EqualsTo": {"Key": "_category", "Value": {"StringValue": "help"}}}
    members = {"IndexId": index.uid, "QueryText": "Must I reserve a bicycle space?", "AttributeFilter": of_faqs}
    assert client.retrieve(**members)["ResultItems"] == []
    (found,) = retriever(client, index, attribute_filter=of_faqs).invoke(members["QueryText"])
    assert found.page_content.startswith("Document Excerpt: \nNo. First come, first served.")
    assert found.metadata["document_attributes"]["_category"] == "help"


def test_every_kind_of_item_is_read(index: Index) -> None:
    settings = Settings(reader=Number())
    client = WithoutRetrieve(index.bucket.store, embedder=BagOfStems(), settings=settings)
    question = "Must I reserve a bicycle space?"
    response = client.query(IndexId=index.uid, QueryText=question, PageSize=10)
    types = [item["Type"] for item in response["ResultItems"]]
    assert set(types) == {"ANSWER", "QUESTION_ANSWER", "DOCUMENT"}
    found = retriever(client, index).invoke(question)
    assert [document.metadata["document_id"] for document in found] == [
        item["DocumentId"] for item in response["ResultItems"]
    ]
    assert [document.metadata["result_id"] for document in found] != [item["Id"] for item in response["ResultItems"]]
    contents = dict(zip(types, [document.page_content for document in found], strict=True))
    assert "No. First come, first served." in contents["QUESTION_ANSWER"]
    assert "Document Title: " in contents["DOCUMENT"]
    for document, item in zip(found, response["ResultItems"], strict=True):
        assert document.metadata["score"] == item["ScoreAttributes"]["ScoreConfidence"]
        assert document.metadata["title"] == item["DocumentTitle"]["Text"]
