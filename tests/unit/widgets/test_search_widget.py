"""The search widget, driven from Python and by the messages of its front end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import traitlets

import ragvec
from ragvec.errors import InvalidFilter, InvalidRequest
from ragvec.evaluation.beir_files import read_queries
from ragvec.evaluation.trec import read_qrels_file
from ragvec.kendra import Settings
from ragvec.kendra.limits import NATIVE
from ragvec.store import Index, Store
from ragvec.widgets import SearchWidget

from .conftest import HOSTILE, SECRET


@pytest.fixture
def widget(index: Index) -> SearchWidget:
    return SearchWidget(index)


def says(widget: SearchWidget, do: str, **more: Any) -> None:
    """What the front end sends, as it comes over the wire."""
    widget._handle_custom_msg(json.loads(json.dumps({"do": do, **more})), [])


def ids(widget: SearchWidget) -> list[str]:
    return [item.document_id for item in widget.found]


def test_it_begins_with_every_document_and_searches_when_value_is_set(widget: SearchWidget) -> None:
    assert widget.found.total == 26
    assert list(widget.results["document_id"]) == ids(widget)
    widget.value = "bicycles"
    expected = widget.query_index.search("bicycles")
    assert ids(widget) == [item.document_id for item in expected]
    assert widget.results["score"].tolist() == [item.score for item in expected]
    assert repr(widget) == "SearchWidget(Index('docs', 'ferries'), 'bicycles')"


def test_value_and_results_are_observed_once_a_search(widget: SearchWidget) -> None:
    values, frames = [], []
    widget.observe(lambda change: values.append(change["new"]), "value")
    widget.observe(lambda change: frames.append(len(change["new"])), "results")
    says(widget, "search", text="parrot on the bridge", mode="text")
    assert values == ["parrot on the bridge"]
    assert frames == [len(widget.results)]
    assert widget.mode == "text"


@pytest.mark.parametrize("mode", ["query", "hybrid", "dense", "text"])
def test_every_mode_finds_and_its_code_finds_the_same(widget: SearchWidget, store: Store, mode: str) -> None:
    widget.search("parrot on the bridge", mode=mode)
    assert ids(widget)[0] == "hostile"
    widget.choose("department", "Safety")
    widget.search("crossing from pier 9", mode=mode, user="ann", groups=("board",))
    store.close()
    space: dict[str, Any] = {}
    exec(widget.code, space)
    if mode == "query":
        assert [item.document_id for item in space["results"]] == ids(widget)
        assert space["results"].facets == widget.found.facets
    else:
        found = list(dict.fromkeys(hit.metadata["_document_id"] for hit in space["passages"]))
        assert found[:10] == ids(widget)
    space["store"].close()


def test_code_pages_sorts_and_filters_as_the_widget_does(widget: SearchWidget, store: Store) -> None:
    widget.add_condition("priority", "at least", "2")
    widget.choose("_last_updated_at", widget.found.facets["_last_updated_at"][0].value)
    widget.search("", sort="-_document_title", page_size=2, page=2)
    store.close()
    space: dict[str, Any] = {}
    exec(widget.code, space)
    assert [item.document_id for item in space["results"]] == ids(widget) != []
    assert space["results"].page == 2
    space["store"].close()


@pytest.mark.parametrize("mode", ["query", "text"])
def test_a_chosen_value_filters_and_leaves_the_counts_beside_it(widget: SearchWidget, mode: str) -> None:
    widget.search("bicycles", mode=mode)
    before = {count.value: count.count for count in widget.found.facets["department"]}
    at = [count.value for count in widget.found.facets["department"]].index("Sales")
    says(widget, "choose", field="department", at=at)
    assert widget.chosen == {"department": ["Sales"]}
    assert widget.found.total == before["Sales"]
    assert {count.value: count.count for count in widget.found.facets["department"]} == before
    assert all(item.attributes["department"] == "Sales" for item in widget.found)
    widget.choose("department", "Safety")
    assert widget.found.total == before["Sales"] + before["Safety"]
    says(widget, "clear")
    assert widget.found.total == sum(before.values())
    assert widget.chosen == {}


def test_a_date_is_chosen_by_its_year(widget: SearchWidget) -> None:
    counts = {count.value.year: count for count in widget.found.facets["_last_updated_at"]}
    assert sorted(counts) == [2023, 2024, 2025]
    widget.choose("_last_updated_at", counts[2024].value)
    assert widget.found.total == counts[2024].count == 8
    assert {item.attributes["_last_updated_at"].year for item in widget.found} == {2024}
    widget.choose("_last_updated_at", counts[2025].value)
    assert widget.found.total == 16


def test_the_builder_offers_the_fields_that_documents_have(widget: SearchWidget) -> None:
    fields = {name: (operators, values) for name, _, operators, values in widget._view["fields"]}
    assert {"department", "priority", "tags", "open", "_last_updated_at"} <= set(fields)
    assert not any(name.startswith("_acl") for name in fields)
    assert {"_text", "_view_count"}.isdisjoint(fields)
    assert fields["open"][0] == ["is", "is missing"]
    assert sorted(fields["open"][1]) == ["no", "yes"]
    assert fields["tags"][1] == ["pier", "bicycle"]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (("department", "is", "Sales"), 8),
        (("department", "is not", "Sales"), 18),
        (("department", "begins with", "Sa"), 16),
        (("priority", "at least", "3"), 10),
        (("priority", "is", "1"), 6),
        (("priority", "is missing", ""), 1),
        (("tags", "is", "bicycle"), 12),
        (("open", "is", "yes"), 12),
        (("_last_updated_at", "at most", "2024-12-31"), 16),
        (("_last_updated_at", "is there", ""), 24),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_conditions_mean_what_they_say(widget: SearchWidget, condition: tuple[str, str, str], expected: int) -> None:
    says(widget, "add", field=condition[0], operator=condition[1], text=condition[2])
    assert widget.error == ""
    assert widget.found.total == expected
    says(widget, "remove", at=0)
    assert widget.found.total == 26


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (("priority", "is", "many"), "Expected a number for 'priority', got 'many'"),
        (("priority", "is", " "), "Expected a value for `priority is`, got none"),
        (("open", "is", "perhaps"), "Expected yes or no for 'open', got 'perhaps'"),
        (("open", "at least", "1"), "Expected one of is, is missing for the field 'open', got 'at least'"),
        (("colour", "is", "red"), "The index has no field 'colour'"),
        (("_last_updated_at", "at least", "soon"), "Expected a date in ISO 8601, got 'soon'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_wrong_condition_is_refused_shown_and_not_kept(
    widget: SearchWidget, condition: tuple[str, str, str], message: str
) -> None:
    says(widget, "add", field=condition[0], operator=condition[1], text=condition[2])
    assert message in widget.error
    assert widget._view["error"] == widget.error
    assert widget.conditions == ()
    assert widget.found.total == 26
    with pytest.raises(InvalidRequest):
        widget.add_condition(*condition)
    widget.value = "bicycles"
    assert widget.error == ""


def test_where_from_python_holds_beside_what_is_chosen(widget: SearchWidget) -> None:
    widget.where = {"tags": "bicycle"}
    widget.choose("department", "Sales")
    assert widget.found.total == 4
    says(widget, "clear")
    assert widget.found.total == 12
    with pytest.raises(InvalidFilter, match="colour"):
        widget.where = {"colour": "red"}
    assert "colour" in widget.error


def test_pages_and_sorting(widget: SearchWidget) -> None:
    widget.search("", sort="_document_title", page_size=5)
    titles = [item.title for item in widget.found]
    assert titles == sorted(titles)
    says(widget, "page", at=2)
    assert widget.found.page == widget.page == 2
    assert min(item.title for item in widget.found) > max(titles)
    widget.value = "bicycles"
    assert widget.page == 1, "another question begins at its first page"
    with pytest.raises(InvalidRequest, match="`page`"):
        widget.page = 0


def test_what_others_may_see_only_is_nowhere_in_the_widget(index: Index) -> None:
    widget = SearchWidget(index, "secret budget", user="ann")
    says(widget, "suggest", text="secr")
    assert "budget" not in ids(widget)
    assert SECRET not in str(widget._view), "values of fields come from documents too"
    assert widget.suggest("secr") == ()
    says(widget, "search", text="secret budget", user="ann", groups="board, crew")
    assert ids(widget)[0] == "budget"
    assert widget.groups == ("board", "crew")
    assert widget.suggest("secr") == ("The secret budget",)
    says(widget, "open", kind="items", at=0)
    assert widget._view["source"]["document"] == "budget"


def test_the_source_is_the_passage_in_its_document(widget: SearchWidget) -> None:
    widget.value = "crossing from pier 7"
    at = ids(widget).index("route-07")
    says(widget, "open", kind="items", at=at)
    parts = widget._view["source"]["parts"]
    assert [part["text"] for part in parts if part["found"]] == [widget.found[at].passage]
    whole = "\n".join(part["text"] for part in parts)
    assert "Passengers with bicycles board first." in whole
    assert "Route 7 carries bicycles from pier 7." in whole
    says(widget, "judge", kind="items", at=at, relevant=True)
    assert widget._view["source"]["document"] == "route-07", "a verdict does not close what is read"
    says(widget, "close")
    assert widget._view["source"] is None
    says(widget, "open", kind="items", at=99)
    assert widget.error == "Expected a result that is shown, got items 99"


def test_thumbs_save_judgements_that_evaluation_reads(index: Index, tmp_path: Path) -> None:
    folder = tmp_path / "judged"
    widget = SearchWidget(index, "parrot", qrels=folder)
    says(widget, "judge", kind="items", at=0, relevant=True)
    widget.judge("route-01", False)
    widget.value = "pier 9"
    widget.judge("route-09", True)
    assert read_qrels_file(folder / "qrels.txt") == {"q1": {"hostile": 1, "route-01": 0}, "q2": {"route-09": 1}}
    assert read_queries(folder / "queries.jsonl") == {"q1": "parrot", "q2": "pier 9"}
    again = SearchWidget(index, "parrot", qrels=folder)
    assert again.judgements.of("parrot") == {"hostile": 1, "route-01": 0}
    assert again._view["results"]["items"][0]["judged"] == 1
    says(again, "judge", kind="items", at=0, relevant=None)
    assert again.judgements.of("parrot") == {"route-01": 0}
    assert len(again.judgements) == 2
    with pytest.raises(InvalidRequest, match="without white space"):
        again.judge("two words", True)
    with pytest.raises(InvalidRequest, match="Expected a query"):
        SearchWidget(index).judge("route-01", True)


def test_verdicts_are_feedback_where_a_journal_is_kept(index: Index) -> None:
    query_index = ragvec.QueryIndex(index, settings=Settings(limits=NATIVE, journal=True))
    widget = SearchWidget(query_index, "bicycles")
    at = ids(widget)[1]
    says(widget, "judge", kind="items", at=1, relevant=True)
    assert widget.error == ""
    assert [(each.document, each.grade) for each in query_index.judgements()] == [(at, 2)]
    says(widget, "open", kind="items", at=0)
    assert {(each.document, each.grade) for each in query_index.judgements()} == {(at, 2), (ids(widget)[0], 1)}
    assert widget.suggest("bicyc") == ("bicycles",)


def test_spelling_and_frequently_asked_questions(index: Index) -> None:
    query_index = ragvec.QueryIndex(index)
    query_index.add_faq([{"question": "May dogs travel?", "answer": "Yes, on a lead."}])
    widget = SearchWidget(query_index, "may dogs travel")
    (faq,) = widget._view["results"]["faqs"]
    assert "".join(text for text, _ in faq["title"]) == "May dogs travel?"
    assert faq["text"] == [["Yes, on a lead.", False]]
    widget.value = "bycicles pier"
    assert widget._view["results"]["correction"] == "bicycles pier"
    says(widget, "open", kind="faqs", at=0)
    assert widget.error


def test_hostile_text_stays_text_and_bad_links_are_left_out(widget: SearchWidget) -> None:
    widget.value = "parrot on the bridge"
    card = widget._view["results"]["items"][0]
    assert "".join(text for text, _ in card["title"]) == f"Strange {HOSTILE}"
    assert card["uri"] == "", "javascript: is no place to go"
    assert HOSTILE in [value["text"] for facet in widget._view["facets"] for value in facet["values"]]
    source = str(widget._esm)
    for unsafe in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "http://", "https://"):
        assert unsafe not in source.replace("http://www.w3.org/2000/svg", ""), unsafe


@pytest.mark.parametrize(
    "message",
    [
        {"do": "explode"},
        {"do": "page", "at": "two"},
        {"do": "search", "unknown": 1},
        {"do": "choose", "field": "department", "at": 99},
        {"do": "choose", "field": "nothing", "at": 0},
        {"do": "judge", "kind": "query_index", "at": 0},
        {"do": "open", "kind": "_view", "at": 0},
        {"do": "page", "at": -3},
        {"do": "search", "text": "x", "mode": "magic"},
        {},
        "search",
    ],
    ids=str,
)
def test_a_wrong_message_is_an_error_that_is_shown(widget: SearchWidget, message: Any) -> None:
    widget._handle_custom_msg(message, [])
    assert widget.error
    assert widget._view["error"] == widget.error


def test_wrong_arguments_name_what_is_wrong(index: Index) -> None:
    with pytest.raises(InvalidRequest, match="Expected an index"):
        SearchWidget("docs")
    with pytest.raises(InvalidRequest, match="`embedder` with an index only"):
        SearchWidget(ragvec.QueryIndex(index), embedder="hashing:128")
    with pytest.raises(InvalidRequest, match="nothing"):
        SearchWidget(index, facets=["nothing"])
    widget = SearchWidget(index)
    with pytest.raises(traitlets.TraitError, match="magic"):
        widget.mode = "magic"
    with pytest.raises(InvalidRequest, match="colour"):
        widget.search("x", colour="red")


def test_an_index_without_text_fields_offers_no_words_alone(store: Store) -> None:
    index = store.create_bucket("plain").create_index("vectors", dimension=3)
    widget = SearchWidget(index)
    assert [mode for mode, _ in widget._view["modes"]] == ["query", "dense"]
    with pytest.raises(ragvec.RagvecError):
        widget.value = "no embedder is known"
    assert widget.error
