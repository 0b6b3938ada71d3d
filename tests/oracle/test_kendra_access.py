"""Access control holds in every part of a response: whoever asks gets what an index would answer that holds nothing but
what they may see."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragvec.kendra import Client, QueryIndex, Scale, Settings
from ragvec.kendra.access import access_metadata, note_levels, read_access
from ragvec.kendra.access.configurations import AccessConfiguration, Configurations
from ragvec.kendra.limits import KENDRA
from ragvec.kendra.notes import Notes
from ragvec.store import Index, Store

sys.path.insert(0, str(Path(__file__).parent.parent / "unit" / "kendra"))
from kendra_corpus import BagOfStems, fill, present

WORDS = ["ferry", "bicycle", "tram", "fares", "morning", "harbour", "crew", "lifeboat"]
DAYS = ["Monday", "Tuesday", "Sunday"]
TYPES = {"department": "STRING_VALUE", "priority": "LONG_VALUE", "tags": "STRING_LIST_VALUE"}
CALLERS: list[dict[str, Any]] = [
    {"UserId": "stranger"},
    {"UserId": "alice"},
    {"UserId": "bob", "Groups": ["HR"]},
    {"Groups": ["HR", "IT"]},
    {"UserId": "alice", "DataSourceGroups": [{"GroupId": "crew", "DataSourceId": "wiki"}]},
]
IN_GROUPS = {"bob": ["IT"]}
"""What a principal mapping adds."""
FEATURED = {"ferry": ["doc-01", "doc-05", "doc-09", "doc-12"], "bicycle tram": ["doc-02", "doc-03", "doc-04"]}
ALL_RELATED = Scale(least=-2.0, of_best=0.0, medium=0.3, high=0.5, very_high=0.7)

Entries = Sequence[Mapping[str, Any]]


def random_entries(dice: random.Random) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    for _ in range(dice.choice([0, 0, 1, 2, 3])):
        kind = dice.choice(["USER", "GROUP"])
        name = dice.choice(["alice", "bob"] if kind == "USER" else ["HR", "IT", "crew"])
        source = {"DataSourceId": "wiki"} if name == "crew" else {}
        access = "DENY" if dice.random() < 0.25 else "ALLOW"
        if not any(entry["Name"] == name for entry in entries):
            entries.append({"Name": name, "Type": kind, "Access": access, **source})
    return entries


def random_documents(count: int) -> list[tuple[dict[str, Any], list[Entries], str | None]]:
    """Documents, each with the levels of its access list, and the configuration that it names."""
    dice = random.Random(23)
    documents = []
    for n in range(count):
        paragraphs = [" ".join(dice.choices(WORDS, k=dice.randint(4, 9))) + "." for _ in range(dice.randint(1, 3))]
        paragraphs.append(f"The {dice.choice(WORDS)} leaves the harbour at {n + 3} o'clock on {dice.choice(DAYS)}.")
        document = {
            "id": f"doc-{n:02d}",
            "title": " ".join(dice.choices(WORDS, k=2)).capitalize(),
            "text": "\n\n".join(paragraphs),
            "department": dice.choice(["deck", "fares", "crew"]),
            "priority": dice.randint(0, 3),
            "_category": dice.choice(["a", "b"]),
            "tags": dice.sample(WORDS, 2),
        }
        levels: list[Entries] = [random_entries(dice) for _ in range(dice.choice([1, 1, 1, 2, 3]))]
        documents.append((document, levels, dice.choice([None, None, None, "only-hr", "not-alice"])))
    return documents


def random_rows(count: int) -> list[tuple[dict[str, Any], Entries]]:
    dice = random.Random(29)
    return [
        (
            {
                "question": f"When does the {a} of the {b} leave?",
                "answer": f"At {n}.",
                "attributes": {"department": dice.choice(["deck", "fares"])},
            },
            random_entries(dice),
        )
        for n, (a, b) in enumerate(dice.sample([(a, b) for a in WORDS for b in WORDS], count))
    ]


DOCUMENTS, ROWS = random_documents(40), random_rows(12)
CONFIGURATIONS: dict[str, Entries] = {
    "only-hr": [{"Name": "HR", "Type": "GROUP", "Access": "ALLOW"}],
    "not-alice": [{"Name": "alice", "Type": "USER", "Access": "DENY"}],
}


def lets_through(level: Entries, caller: Mapping[str, Any]) -> bool:
    user = caller.get("UserId")
    groups = [*caller.get("Groups", []), *IN_GROUPS.get(user or "", [])]
    of_sources = [(group["GroupId"], group["DataSourceId"]) for group in caller.get("DataSourceGroups", [])]

    def is_caller(entry: Mapping[str, Any]) -> bool:
        if entry["Type"] == "USER":
            return bool(entry["Name"] == user)
        if "DataSourceId" in entry:
            return (entry["Name"], entry["DataSourceId"]) in of_sources
        return entry["Name"] in groups

    if any(is_caller(entry) for entry in level if entry["Access"] == "DENY"):
        return False
    allowing = [entry for entry in level if entry["Access"] == "ALLOW"]
    return not allowing or any(map(is_caller, allowing))


class Pair:
    """The index that holds everything, and for each caller one of what they may see, in which nobody is denied."""

    def __init__(self, store: Store, *, lists: bool) -> None:
        scale = Settings(scale=ALL_RELATED, language=None)
        self.client = Client(store, embedder=BagOfStems(), settings=scale)
        self.whole = self._filled(store, "whole", CALLERS[0], restricted=False, lists=lists)
        self.parts = [
            self._filled(store, f"part-{number}", caller, restricted=True, lists=lists)
            for number, caller in enumerate(CALLERS)
        ]

    def _filled(self, store: Store, name: str, caller: Mapping[str, Any], *, restricted: bool, lists: bool) -> Index:
        documents, rows = [], []
        for document, levels, configuration in DOCUMENTS:
            all_levels = [*levels, *([CONFIGURATIONS[configuration]] if configuration else [])]
            if not restricted:
                given = {"HierarchicalAccessControlList": [{"PrincipalList": level} for level in levels]}
                access = read_access(given, limits=KENDRA)
                documents.append({**document, **access_metadata(access, configuration=configuration)})
            elif all(lets_through(level, caller) for level in all_levels):
                documents.append(document)
        for row, entries in ROWS:
            if not restricted:
                rows.append({**row, **({"access": entries} if entries else {})})
            elif lets_through(entries, caller):
                rows.append(row)
        index = fill(store, documents, types=TYPES, name=name)
        if lists:
            for key in ("_text", "_document_title"):
                index.add_text(key, language="en")
        self.client.add_faq(index.uid, rows)
        for number, (text, ids) in enumerate(FEATURED.items()):
            self.client.create_featured_results_set(
                IndexId=index.uid,
                FeaturedResultsSetName=f"set {number}",
                Status="ACTIVE",
                QueryTexts=[text],
                FeaturedDocuments=[{"Id": document_id} for document_id in ids],
            )
        if not restricted:
            self._rules(index)
        return index

    def _rules(self, index: Index) -> None:
        notes = Notes(index)
        note_levels(notes, 3)
        kept = {
            name: AccessConfiguration(
                id=name, name=name, access=read_access({"AccessControlList": entries}, limits=KENDRA)
            )
            for name, entries in CONFIGURATIONS.items()
        }
        notes.change("access.configurations", dict[str, AccessConfiguration], lambda _: kept)
        assert {one.id for one in Configurations(notes).all()} == set(CONFIGURATIONS)
        for user, groups in IN_GROUPS.items():
            for group in groups:
                self.client.put_principal_mapping(
                    IndexId=index.uid, GroupId=group, GroupMembers={"MemberUsers": [{"UserId": user}]}
                )

    def ask(self, operation: str, caller: int, request: Mapping[str, Any]) -> tuple[Any, Any]:
        ask = getattr(self.client, operation)
        return (
            ask(IndexId=self.whole.uid, **request, UserContext=CALLERS[caller]),
            ask(IndexId=self.parts[caller].uid, **request),
        )


@pytest.fixture(scope="module")
def by_vectors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with Store(tmp_path_factory.mktemp("vectors") / "store") as store:
        yield Pair(store, lists=False)


@pytest.fixture(scope="module")
def by_words(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with Store(tmp_path_factory.mktemp("words") / "store") as store:
        yield Pair(store, lists=True)


OF_THE_REQUEST = frozenset({"ResponseMetadata", "QueryId", "Id", "FeedbackToken"})


def without_ids(value: Any) -> Any:
    """A response less what differs from request to request, and from one making of a FAQ to another: the ids of its
    rows, by which equally good ones are ordered."""
    if isinstance(value, dict):
        kept = {name: without_ids(inner) for name, inner in value.items() if name not in OF_THE_REQUEST}
        if kept.get("Type") == "QUESTION_ANSWER":
            del kept["DocumentId"]
        if "ResultItems" in kept:
            rows = [at for at, item in enumerate(kept["ResultItems"]) if item.get("Type") == "QUESTION_ANSWER"]
            ordered = sorted((kept["ResultItems"][at] for at in rows), key=repr)
            for at, item in zip(rows, ordered, strict=True):
                kept["ResultItems"][at] = item
        return kept
    if isinstance(value, list):
        return [
            without_ids(inner) for inner in value if not (isinstance(inner, dict) and inner.get("Key") == "_faq_id")
        ]
    return value


FILTERS = st.sampled_from(
    [
        None,
        {"EqualsTo": {"Key": "department", "Value": {"StringValue": "deck"}}},
        {"NotFilter": {"EqualsTo": {"Key": "_category", "Value": {"StringValue": "a"}}}},
        {"GreaterThan": {"Key": "priority", "Value": {"LongValue": 1}}},
        {"ContainsAny": {"Key": "tags", "Value": {"StringListValue": ["ferry", "crew"]}}},
    ]
)
TEXTS = st.sampled_from(
    [
        "ferry",
        "bicycle tram",
        "when does the crew of the ferry leave?",
        "When does the tram leave the harbour on Sunday?",
        "lifebaot",
        "mornning harbour",
        "ferry NOT tram",
        '"ferry bicycle"',
        "lifeb* OR department:deck",
        "(crew AND fares) OR lifeboat",
        None,
    ]
)
SHARED = {
    "QueryText": TEXTS,
    "AttributeFilter": FILTERS,
    "PageNumber": st.sampled_from([None, 1, 2]),
    "PageSize": st.sampled_from([None, 3, 100]),
}
QUERIES = st.fixed_dictionaries(
    SHARED
    | {
        "Facets": st.sampled_from(
            [
                [{"DocumentAttributeKey": "department"}],
                [{"DocumentAttributeKey": "tags"}, {"DocumentAttributeKey": "priority", "MaxResults": 2}],
                [{"DocumentAttributeKey": "_category", "Facets": [{"DocumentAttributeKey": "department"}]}],
            ]
        ),
        "QueryResultTypeFilter": st.sampled_from([None, None, "DOCUMENT", "ANSWER", "QUESTION_ANSWER"]),
        "SortingConfiguration": st.sampled_from([None, {"DocumentAttributeKey": "priority", "SortOrder": "DESC"}]),
        "CollapseConfiguration": st.sampled_from(
            [
                None,
                {
                    "DocumentAttributeKey": "department",
                    "Expand": True,
                    "ExpandConfiguration": {"MaxResultItemsToExpand": 2},
                },
            ]
        ),
        "SpellCorrectionConfiguration": st.just({"IncludeQuerySpellCheckSuggestions": True}),
    }
)
CALLER = st.integers(0, len(CALLERS) - 1)


@settings(max_examples=120, deadline=None)
@given(caller=CALLER, request=QUERIES)
def test_a_query_answers_as_if_nothing_else_were_there(by_vectors: Pair, caller: int, request: dict[str, Any]) -> None:
    whole, part = by_vectors.ask("query", caller, present(**request))
    assert without_ids(whole) == without_ids(part)


@settings(max_examples=80, deadline=None)
@given(caller=st.integers(0, 3), request=QUERIES)
def test_who_asks_by_a_filter_gets_the_same(by_vectors: Pair, caller: int, request: dict[str, Any]) -> None:
    asking: list[dict[str, Any]] = []
    if "UserId" in CALLERS[caller]:
        asking.append({"EqualsTo": {"Key": "_user_id", "Value": {"StringValue": CALLERS[caller]["UserId"]}}})
    if "Groups" in CALLERS[caller]:
        asking.append({"EqualsTo": {"Key": "_group_ids", "Value": {"StringListValue": CALLERS[caller]["Groups"]}}})
    either = asking[0] if len(asking) == 1 else {"OrAllFilters": asking}
    plain = request["AttributeFilter"]
    given_filter = either if plain is None else {"AndAllFilters": [plain, either]}
    query = by_vectors.client.query
    whole = query(IndexId=by_vectors.whole.uid, **present(**request | {"AttributeFilter": given_filter}))
    # A filter that says nothing lets the other request browse too.
    nothing = {"AndAllFilters": []} if plain is None else plain
    part = query(IndexId=by_vectors.parts[caller].uid, **present(**request | {"AttributeFilter": nothing}))
    assert without_ids(whole) == without_ids(part)


@settings(max_examples=60, deadline=None)
@given(caller=CALLER, request=st.fixed_dictionaries(SHARED | {"QueryText": TEXTS.filter(bool)}))
def test_passages_are_retrieved_as_if_nothing_else_were_there(
    by_vectors: Pair, caller: int, request: dict[str, Any]
) -> None:
    whole, part = by_vectors.ask("retrieve", caller, present(**request))
    assert without_ids(whole) == without_ids(part)


@settings(max_examples=100, deadline=None)
@given(caller=CALLER, request=QUERIES)
def test_words_count_as_if_nothing_else_were_there(by_words: Pair, caller: int, request: dict[str, Any]) -> None:
    whole, part = by_words.ask("query", caller, present(**request))
    assert without_ids(whole) == without_ids(part)


@settings(max_examples=40, deadline=None)
@given(caller=CALLER, request=st.fixed_dictionaries(SHARED | {"QueryText": TEXTS.filter(bool)}))
def test_passages_with_the_words_are_retrieved_as_if_nothing_else_were_there(
    by_words: Pair, caller: int, request: dict[str, Any]
) -> None:
    whole, part = by_words.ask("retrieve", caller, present(**request))
    assert without_ids(whole) == without_ids(part)


@pytest.mark.parametrize("caller", range(4))
@pytest.mark.parametrize("text", ["ferry", "crew of the lifeboat at the harbour", "morning fares tram"])
def test_scores_tell_nothing_of_what_is_hidden(by_words: Pair, caller: int, text: str) -> None:
    def explained(index: Index, **asker: Any) -> Any:
        settings = Settings(scale=ALL_RELATED, language=None)
        return QueryIndex(index, embedder=BagOfStems(), settings=settings).explain(text, most=50, **asker)

    asker = CALLERS[caller]
    whole = explained(by_words.whole, user=asker.get("UserId"), groups=asker.get("Groups", []))
    assert whole == explained(by_words.parts[caller])
    assert "BM25" in repr(whole)
    assert whole != explained(by_words.whole)


@pytest.mark.parametrize("caller", range(len(CALLERS)))
@pytest.mark.parametrize("typed", ["fe", "cre", "tram", "xy"])
def test_values_are_suggested_as_if_nothing_else_were_there(by_vectors: Pair, caller: int, typed: str) -> None:
    config = {"SuggestionAttributes": ["_document_title", "department"], "AdditionalResponseAttributes": ["priority"]}
    request = {"QueryText": typed, "SuggestionTypes": ["DOCUMENT_ATTRIBUTES"], "MaxSuggestionsCount": 10}
    suggest = by_vectors.client.get_query_suggestions
    of_caller = {**config, "UserContext": CALLERS[caller]}
    whole = suggest(IndexId=by_vectors.whole.uid, **request, AttributeSuggestionsConfig=of_caller)
    part = suggest(IndexId=by_vectors.parts[caller].uid, **request, AttributeSuggestionsConfig=config)
    assert without_ids(whole)["Suggestions"] == without_ids(part)["Suggestions"]
    assert typed != "xy" or not whole["Suggestions"]
    assert typed != "tram" or whole["Suggestions"]


@pytest.mark.parametrize("caller", range(len(CALLERS)))
def test_the_callers_differ_and_each_lacks_something(by_vectors: Pair, caller: int) -> None:
    """Or else the comparisons above would prove little."""
    request = {"QueryText": "ferry", "PageSize": 100, "QueryResultTypeFilter": "DOCUMENT"}
    whole, _ = by_vectors.ask("query", caller, request)
    seen = {item["DocumentId"] for item in whole["ResultItems"] + whole.get("FeaturedResultsItems", [])}
    assert 0 < len(seen) < len(DOCUMENTS)
    everybody = by_vectors.client.query(IndexId=by_vectors.whole.uid, **request)
    assert everybody["TotalNumberOfResults"] > whole["TotalNumberOfResults"]
