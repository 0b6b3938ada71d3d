"""Items of every kind, in Kendra's shapes and typed: answers, FAQ rows, tables, featured documents, groups."""

from __future__ import annotations

from typing import Any

import botocore.session
import msgspec
import pytest
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from ragvec.kendra.attributes import Schema
from ragvec.kendra.excerpts import answer_text, beginning
from ragvec.kendra.found import Answer, Cell, CorrectedWord, Correction, FaqHit, Found, Outcome, Table
from ragvec.kendra.itemize import search_results
from ragvec.kendra.items import item_id
from ragvec.kendra.limits import KENDRA
from ragvec.kendra.query import paged
from ragvec.kendra.relevance import UNCALIBRATED
from ragvec.kendra.render import render_query
from ragvec.kendra.request import Collapse, Request

QUERY_ID = "5b0c6a52-3f1e-4d0a-9a37-0d7e6f0c1a11"
SHAPE = botocore.session.get_session().get_service_model("kendra").operation_model("Query").output_shape
SCHEMA = Schema.of({"area": "STRING_VALUE", "price": "LONG_VALUE"})
TEXT = (
    "Every morning ferry has racks for 24 bicycles. The noon ferry takes 12 bicycles, since freight fills the rear "
    "deck. Cyclists board ahead of cars and strap the bicycle to the yellow rail."
)


def passage(name: str, text: str = TEXT, **attributes: Any) -> Found:
    metadata = {
        "_document_id": name,
        "_document_title": f"On {name} ferries",
        "_text": text,
        "_begin": 100,
        **attributes,
    }
    return Found(f"{name}#00000", name, metadata, 0.5)


def answer(name: str, said: str, text: str = TEXT, table: Table | None = None) -> Answer:
    begin = text.index(said)
    return Answer(passage(name, text), begin, begin + len(said), "VERY_HIGH", 0.9, table)


FAQ = FaqHit(
    document_id="faq-7f1d",
    faq_id="f",
    question="Must I reserve a bicycle space on the ferry?",
    answer="No. Racks are first come, first served. " * 12,
    uri="",
    metadata={"area": "deck"},
    score=0.8,
    confidence="MEDIUM",
)
TABLE = Table(
    (
        (Cell("Ferry", header=True), Cell("Racks", header=True)),
        (Cell("noon"), Cell("12", top_answer=True)),
        (Cell(""), Cell("24")),
    ),
    9,
)


def outcome(**parts: Any) -> Outcome:
    return Outcome(
        items=(),
        total=0,
        reachable=0,
        page=1,
        page_size=10,
        words="how many bicycles fit on the morning ferry",
        **parts,
    )


def rendered(made: Outcome, request: Request | None = None) -> dict[str, Any]:
    response = render_query(
        made, request or Request(text="x"), schema=SCHEMA, scale=UNCALIBRATED, limits=KENDRA, query_id=QUERY_ID
    )
    report = ParamValidator().validate(response, SHAPE).generate_report()
    # The service itself sends empty titles and URIs, which its model does not allow for.
    assert [line for line in report.splitlines() if ".DocumentURI," not in line and "Title.Text," not in line] == []
    return response


def texts(item: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["Key"]: each["Value"]["TextWithHighlightsValue"] for each in item["AdditionalAttributes"]}


def marked(text: dict[str, Any]) -> list[str]:
    return [text["Text"][mark["BeginOffset"] : mark["EndOffset"]] for mark in text["Highlights"]]


def test_an_answer_as_in_the_worked_example() -> None:
    (item,) = rendered(outcome(answers=(answer("hb-bikes", "24 bicycles"),)))["ResultItems"]
    said = texts(item)["AnswerText"]
    assert (item["Type"], item["Format"], item["DocumentId"]) == ("ANSWER", "TEXT", "hb-bikes")
    assert said["Text"] == TEXT
    assert [(h["BeginOffset"], h["EndOffset"], h["TopAnswer"]) for h in said["Highlights"]] == [
        (34, 45, True), (6, 13, False), (14, 19, False), (37, 45, False), (56, 61, False), (71, 79, False),
        (159, 166, False),
    ]  # fmt: skip
    assert item["DocumentExcerpt"]["Text"] == TEXT
    assert [(h["BeginOffset"], h["EndOffset"]) for h in item["DocumentExcerpt"]["Highlights"]] == [(0, 186)]
    assert item["ScoreAttributes"] == {"ScoreConfidence": "VERY_HIGH"}
    assert marked(item["DocumentTitle"]) == ["ferries"]


def test_a_faq_row() -> None:
    (item,) = rendered(outcome(faqs=(FAQ,)), Request(text="x", requested=("area",)))["ResultItems"]
    assert list(texts(item)) == ["QuestionText", "AnswerText"]
    assert marked(texts(item)["QuestionText"]) == ["bicycle", "ferry"]
    assert texts(item)["AnswerText"] == {"Text": FAQ.answer, "Highlights": []}
    assert item["DocumentTitle"] == {"Text": ""}
    excerpt = item["DocumentExcerpt"]
    assert FAQ.answer.startswith(excerpt["Text"])
    assert 280 <= len(excerpt["Text"]) <= 300
    assert marked(excerpt) == [excerpt["Text"]]
    assert item["DocumentAttributes"] == [{"Key": "area", "Value": {"StringValue": "deck"}}]
    assert item["ScoreAttributes"] == {"ScoreConfidence": "MEDIUM"}


def test_an_answer_from_a_table_has_cells_and_no_text() -> None:
    (item,) = rendered(outcome(answers=(answer("d", "12", table=TABLE),)))["ResultItems"]
    assert item["Format"] == "TABLE"
    assert "DocumentExcerpt" not in item
    rows = item["TableExcerpt"]["Rows"]
    assert item["TableExcerpt"]["TotalNumberOfRows"] == 9
    assert [[cell.get("Value", "") for cell in row["Cells"]] for row in rows] == [
        ["Ferry", "Racks"],
        ["noon", "12"],
        ["", "24"],
    ]
    assert [cell["Header"] for cell in rows[0]["Cells"]] == [True, True]
    assert [cell["TopAnswer"] for cell in rows[1]["Cells"]] == [False, True]


def test_featured_documents_have_neither_format_nor_score() -> None:
    response = rendered(outcome(featured=(passage("a"),)))
    (item,) = response["FeaturedResultsItems"]
    assert item.keys() == {
        "Id", "Type", "AdditionalAttributes", "DocumentId", "DocumentTitle", "DocumentExcerpt", "DocumentURI",
        "DocumentAttributes", "FeedbackToken",
    }  # fmt: skip
    assert "FeaturedResultsItems" not in rendered(outcome())


def test_what_a_thesaurus_brought_is_highlighted_as_such() -> None:
    made = msgspec.structs.replace(outcome(synonyms=("yellow rail",)), items=(passage("a"),))
    (item,) = rendered(made)["ResultItems"]
    excerpt = item["DocumentExcerpt"]
    kinds = dict(zip(marked(excerpt), [mark["Type"] for mark in excerpt["Highlights"]], strict=True))
    assert kinds["yellow"] == kinds["rail"] == "THESAURUS_SYNONYM"
    assert kinds["morning"] == kinds["bicycles"] == "STANDARD"


def test_spelling_and_warnings() -> None:
    corrected = Correction("morning ferry", (CorrectedWord(0, 7, "mornng", "morning"),))
    response = rendered(outcome(correction=corrected, warnings=("x is no field", "y")))
    assert response["SpellCorrectedQueries"] == [
        {
            "SuggestedQueryText": "morning ferry",
            "Corrections": [{"BeginOffset": 0, "EndOffset": 7, "Term": "mornng", "CorrectedTerm": "morning"}],
        }
    ]
    assert response["Warnings"] == [{"Message": "x is no field; y", "Code": "QUERY_LANGUAGE_INVALID_SYNTAX"}]
    assert {"SpellCorrectedQueries", "Warnings"}.isdisjoint(rendered(outcome()))


def test_the_group_of_documents_without_the_key_has_an_empty_value() -> None:
    by_area = Collapse(field=SCHEMA.fields["area"], expand=True)
    first = msgspec.structs.replace(passage("a"), group=(passage("b"),), group_size=2)
    made = msgspec.structs.replace(outcome(), items=(first,))
    (item,) = rendered(made, Request(text="x", collapse=by_area))["ResultItems"]
    detail = item["CollapsedResultDetail"]
    assert detail["DocumentAttribute"] == {"Key": "area", "Value": {}}
    assert [each["DocumentId"] for each in detail["ExpandedResults"]] == ["b"]
    assert detail["ExpandedResults"][0].keys().isdisjoint({"ScoreAttributes", "Type", "FeedbackToken"})


def test_ids_name_query_type_and_document() -> None:
    one = item_id(QUERY_ID, "DOCUMENT", "a")
    assert one == item_id(QUERY_ID, "DOCUMENT", "a")
    assert len(one) == 73
    assert len({one, item_id(QUERY_ID, "ANSWER", "a"), item_id(QUERY_ID, "DOCUMENT", "b")}) == 3
    (item,) = rendered(outcome(answers=(answer("a", "24"),)))["ResultItems"]
    assert item["Id"] == item_id(QUERY_ID, "ANSWER", "a")


SENTENCES = st.lists(st.text("ab. \n", min_size=0, max_size=60), min_size=1, max_size=30).map(". ".join)


@given(text=SENTENCES, data=st.data())
def test_an_answer_stands_in_a_piece_of_its_passage_that_begins_near_it(text: str, data: st.DataObject) -> None:
    begin = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(begin, min(len(text), begin + 400)))
    said = text[begin:end].rstrip()
    around = answer_text(Answer(passage("a", text), begin, begin + len(said), "HIGH", 0.5), limits=KENDRA)
    assert text[around.begin :].startswith(around.text)
    assert around.text[around.answer.begin : around.answer.end] == said
    if len(said) <= 300:
        assert around.answer.end <= 300
    assert len(around.text) <= max(600, len(said))


@given(text=st.text("ab \n", max_size=80), most=st.integers(1, 40))
def test_a_beginning_is_whole_words(text: str, most: int) -> None:
    shown = beginning(text, most)
    assert text.startswith(shown)
    assert len(shown) <= most
    if len(shown) < len(text) and not text[: most + 1].strip().isalpha() and shown.strip():
        assert text[len(shown)].isspace()


KINDS = st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 120))


@given(numbers=KINDS, page=st.integers(1, 12), size=st.integers(1, 100), most=st.sampled_from([None, 100]))
def test_pages_count_answers_rows_and_documents_together(
    numbers: tuple[int, int, int], page: int, size: int, most: int | None
) -> None:
    answers = [answer(f"a{n}", "24") for n in range(numbers[0])]
    faqs = [msgspec.structs.replace(FAQ, document_id=f"f{n}") for n in range(numbers[1])]
    documents = [passage(f"d{n}") for n in range(numbers[2])]
    everything = [*answers, *faqs, *documents][:most]
    made = paged(documents, answers, faqs, Request(text="x", page=page, page_size=size), most=most)
    assert [*made.answers, *made.faqs, *made.items] == everything[(page - 1) * size : page * size]
    assert (made.total, made.reachable) == (sum(numbers), len(everything))
    assert made.pages == -(-len(everything) // size)

    beside = paged(documents, answers, faqs, Request(text="x", page=page, page_size=size, beside=True), most=most)
    assert list(beside.items) == documents[:most][(page - 1) * size : page * size]
    assert (len(beside.answers), len(beside.faqs)) == (numbers[:2] if page == 1 else (0, 0))
    assert beside.total == numbers[2]


def test_typed_results_of_every_kind() -> None:
    made = msgspec.structs.replace(
        outcome(
            answers=(answer("a", "24 bicycles"), answer("t", "12", table=TABLE)),
            faqs=(FAQ,),
            featured=(passage("top"),),
            correction=Correction("ferry", ()),
            warnings=("<w>",),
        ),
        items=(msgspec.structs.replace(passage("b", area="<i>"), group=(passage("c"),), group_size=3),),
        total=3,
        reachable=1,
    )
    results = search_results(made, "ferri", schema=SCHEMA, scale=UNCALIBRATED, limits=KENDRA, query_id=QUERY_ID)
    first = results.answers[0]
    assert (first.answer, first.text[first.span.begin : first.span.end]) == ("24 bicycles", "24 bicycles")
    assert (first.begin, first.end) == (134, 145)
    assert repr(first) == "<AnswerItem '24 bicycles' from 'a', VERY_HIGH 0.90>"
    assert repr(results.faqs[0]) == "<FaqItem 'Must I reserve a bicycle space on the ferry?', MEDIUM 0.80>"
    assert repr(results) == "<SearchResults: 2 answers, 1 FAQ row, 3 documents for 'ferri'>"
    assert [item.document_id for item in results.featured] == ["top"]
    assert results[0].id == item_id(QUERY_ID, "DOCUMENT", "b")
    assert [member.document_id for member in results[0].group] == ["c"]
    shown = results._repr_html_()
    for part in (
        "did you mean “ferry”?",
        "&lt;w&gt;",
        "Featured",
        "<b>24 bicycles</b>",
        "<th>Racks</th>",
        "<b>12</b>",
        "and 2 more of its group",
    ):
        assert part in shown
    assert "<i>" not in shown.replace("<i><bdi>", "").replace("<i>area", "")
    assert "<b>24 bicycles</b>" in first._repr_html_()
    assert "reserve" in results.faqs[0]._repr_html_()


@pytest.mark.parametrize("text", ["", "🚲" * 700, "x" * 5000])
def test_answers_in_odd_texts(text: str) -> None:
    item = Answer(passage("a", text), 0, len(text), "HIGH", 0.5)
    response = rendered(outcome(answers=(item,)) if text else outcome())
    assert all(
        mark["EndOffset"] <= len(text)
        for each in response["ResultItems"]
        for mark in texts(each)["AnswerText"]["Highlights"]
    )
