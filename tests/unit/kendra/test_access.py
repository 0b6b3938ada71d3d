"""Who sees what: random access lists against the rule in words, and the forms of UserContext."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kendra_corpus import BagOfStems, fill, present

from ragvec.errors import InvalidRequest
from ragvec.filters.nodes import EVERYTHING
from ragvec.kendra import KENDRA, Client, QueryIndex
from ragvec.kendra.access import user_context
from ragvec.store import Store

USERS, GROUPS = ["alice", "bob", "HR"], ["HR", "IT", "alice"]
PRINCIPALS = [f"user:{user}" for user in USERS] + [f"group:{group}" for group in GROUPS]


def random_documents(count: int) -> list[dict[str, Any]]:
    dice = random.Random(11)
    documents = []
    for n in range(count):
        document: dict[str, Any] = {"id": f"{n:02d}", "text": "ferry rota", "_category": dice.choice("xy")}
        if dice.random() < 0.6:
            document["_acl_allow"] = dice.sample(PRINCIPALS, dice.randint(1, 3))
        if dice.random() < 0.4:
            document["_acl_deny"] = dice.sample(PRINCIPALS, dice.randint(1, 2))
        documents.append(document)
    return documents


DOCUMENTS = random_documents(80)


def sees(document: dict[str, Any], user: str | None, groups: list[str]) -> bool:
    names = {f"group:{group}" for group in groups} | ({f"user:{user}"} if user else set())
    if names & set(document.get("_acl_deny", ())):
        return False
    return "_acl_allow" not in document or bool(names & set(document["_acl_allow"]))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, str]]:
    folder: Path = tmp_path_factory.mktemp("access")
    with Store(folder / "store") as store:
        yield store, fill(store, DOCUMENTS).uid


def found(filled: tuple[Store, str], **members: Any) -> set[str]:
    store, uid = filled
    client = Client(store, embedder=BagOfStems())
    response = client.query(IndexId=uid, PageSize=100, **members)
    return {item["DocumentId"] for item in response["ResultItems"]}


@settings(max_examples=60, deadline=None)
@given(
    user=st.none() | st.sampled_from([*USERS, "stranger"]),
    groups=st.lists(st.sampled_from([*GROUPS, "other"]), max_size=3),
    text=st.sampled_from(["ferry", None]),
)
def test_deny_wins_then_allow_then_public(
    filled: tuple[Store, str], user: str | None, groups: list[str], text: str | None
) -> None:
    context = present(UserId=user, Groups=groups or None)
    expected = {x["id"] for x in DOCUMENTS if (not user and not groups) or sees(x, user, groups)}
    facets = [{"DocumentAttributeKey": "_category"}]
    assert found(filled, UserContext=context, Facets=facets, **present(QueryText=text)) == expected

    conditions = [{"EqualsTo": {"Key": "_user_id", "Value": {"StringValue": user}}}] if user else []
    if groups:
        conditions.append({"EqualsTo": {"Key": "_group_ids", "Value": {"StringListValue": groups}}})
    if conditions:
        assert found(filled, AttributeFilter={"OrAllFilters": conditions}, **present(QueryText=text)) == expected

    index = QueryIndex(filled[0].index_by_uid(filled[1]), embedder=BagOfStems())
    strangers = {x["id"] for x in DOCUMENTS if sees(x, user, groups)}
    assert {item.document_id for item in index.search(text, user=user, groups=groups, page_size=100)} == strangers


def test_totals_and_facets_count_only_what_may_be_seen(filled: tuple[Store, str]) -> None:
    store, uid = filled
    response = Client(store, embedder=BagOfStems()).query(
        IndexId=uid,
        QueryText="ferry",
        UserContext={"UserId": "bob"},
        QueryResultTypeFilter="DOCUMENT",
        Facets=[{"DocumentAttributeKey": "_category"}],
    )
    visible = [x for x in DOCUMENTS if sees(x, "bob", [])]
    assert response["TotalNumberOfResults"] == len(visible)
    pairs = response["FacetResults"][0]["DocumentAttributeValueCountPairs"]
    assert {pair["DocumentAttributeValue"]["StringValue"]: pair["Count"] for pair in pairs} == {
        letter: sum(x["_category"] == letter for x in visible) for letter in "xy"
    }


def test_who_is_denied_does_not_see_it_through_another_branch_of_the_filter(filled: tuple[Store, str]) -> None:
    either = {
        "OrAllFilters": [
            {"EqualsTo": {"Key": "_user_id", "Value": {"StringValue": "alice"}}},
            {"EqualsTo": {"Key": "_category", "Value": {"StringValue": "x"}}},
        ]
    }
    denied = {x["id"] for x in DOCUMENTS if "user:alice" in x.get("_acl_deny", ())}
    assert denied
    assert not found(filled, AttributeFilter=either) & denied


@pytest.mark.parametrize("context", [None, {}, {"UserId": None}])
def test_no_context_restricts_nothing(context: Any) -> None:
    assert user_context(context, limits=KENDRA) == EVERYTHING


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"Token": "t"}, "Token is not supported: pass UserId and Groups instead - at `UserContext.Token`"),
        ({"Token": "t", "UserId": "u"}, "Expected either Token, or UserId and Groups, got both"),
        ({"DataSourceGroups": []}, "Expected 1 to 2048 groups, got 0 - at `UserContext.DataSourceGroups`"),
        ({"User": "u"}, "Unknown member 'User' - at `UserContext`"),
        ({"UserId": ""}, "Expected text of 1 to 200 characters, got 0 characters - at `UserContext.UserId`"),
        ({"UserId": "x" * 201}, "got 201 characters"),
        ({"UserId": 7}, "got 7"),
        ({"Groups": []}, "Expected 1 to 2048 groups, got 0"),
        ({"Groups": ["g"] * 2049}, "got 2049"),
        ({"Groups": "HR"}, "Expected a list of group names, got 'HR'"),
        ({"Groups": ["HR", ""]}, "got 0 characters - at `UserContext.Groups[1]`"),
    ],
)
def test_contexts_that_are_refused(context: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        user_context(context, limits=KENDRA)
    assert message in str(caught.value)


def test_a_text_in_place_of_a_list_of_groups_is_refused(store: Store) -> None:
    index = store.create_bucket("docs").create_index("pages", dimension=2)
    search = QueryIndex(index).search
    with pytest.raises(InvalidRequest, match="Expected a list of groups, got the text 'managers' - at `groups`"):
        search("anything", groups="managers")
    with pytest.raises(InvalidRequest, match="Expected text, got 5 - at `text`"):
        search(5)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest, match="Expected an index, .* got 'docs/pages'"):
        QueryIndex("docs/pages")  # type: ignore[arg-type]
