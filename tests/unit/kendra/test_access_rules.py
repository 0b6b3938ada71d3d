"""Hierarchical access lists, access control configurations and principal mappings, against the rule in words."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kendra_corpus import BagOfStems, fill, present

from ragvec.errors import InvalidRequest
from ragvec.filters.interpret import matches
from ragvec.kendra import KENDRA, Client
from ragvec.kendra.access import Rules, access_metadata, is_access_field, note_levels, principals, read_access
from ragvec.kendra.access.configurations import AccessConfiguration
from ragvec.kendra.access.mappings import Group, Groups, Mappings, read_groups
from ragvec.kendra.access.rules import PLAIN
from ragvec.kendra.notes import Notes
from ragvec.store import Store

NAMES = ["alice", "bob", "HR", "IT"]
SOURCES = [None, "wiki", "files"]

ENTRIES = st.fixed_dictionaries(
    {"Name": st.sampled_from(NAMES), "Type": st.sampled_from(["USER", "GROUP"])}
    | {"Access": st.sampled_from(["ALLOW", "ALLOW", "DENY"]), "DataSourceId": st.sampled_from(SOURCES)}
)
LISTS = st.lists(ENTRIES, max_size=4)
ACCESS = st.fixed_dictionaries(
    {},
    optional={
        "AccessControlList": LISTS,
        "HierarchicalAccessControlList": st.lists(LISTS, min_size=1, max_size=4).map(
            lambda levels: [{"PrincipalList": level} for level in levels]
        ),
    },
)
CALLERS = st.tuples(
    st.sampled_from([None, *NAMES]),
    st.lists(st.sampled_from(NAMES), max_size=2),
    st.lists(st.tuples(st.sampled_from(["wiki", "files"]), st.sampled_from(NAMES)), max_size=2),
)


def sees(members: dict[str, Any], caller: tuple[str | None, list[str], list[tuple[str, str]]]) -> bool:
    """The rule: every level lets through; a level does that which denies nobody of the caller's and allows one of them,
    or allows nobody in particular."""
    user, groups, of_sources = caller

    def is_caller(entry: dict[str, Any]) -> bool:
        if entry["Type"] == "USER":
            return bool(entry["Name"] == user)
        if entry.get("DataSourceId"):
            return (entry["DataSourceId"], entry["Name"]) in of_sources
        return entry["Name"] in groups

    levels = [members["AccessControlList"]] if "AccessControlList" in members else []
    levels += [level["PrincipalList"] for level in members.get("HierarchicalAccessControlList", [])]
    for level in levels:
        if any(is_caller(entry) for entry in level if entry["Access"] == "DENY"):
            return False
        allowing = [entry for entry in level if entry["Access"] == "ALLOW"]
        if allowing and not any(map(is_caller, allowing)):
            return False
    return True


@settings(max_examples=400, deadline=None)
@given(members=ACCESS, caller=CALLERS)
def test_every_level_lets_through_and_deny_wins(members: dict[str, Any], caller: Any) -> None:
    access = read_access(members, limits=KENDRA)
    names = principals(*caller)
    metadata = access_metadata(access)
    assert all(map(is_access_field, metadata))
    rules = Rules(levels=4)
    assert matches(rules.visible_to(names), metadata) == sees(members, caller)
    assert access.lets_through(names) == sees(members, caller)
    if len(access.levels) > 1:
        assert not matches(PLAIN.visible_to(names), metadata), "levels that nobody told of are hidden, not shown"
    else:
        assert matches(PLAIN.visible_to(names), metadata) == sees(members, caller)


@settings(max_examples=200, deadline=None)
@given(own=ACCESS, kept=ACCESS, caller=CALLERS)
def test_a_configuration_and_own_lists_must_both_let_through(own: Any, kept: Any, caller: Any) -> None:
    configuration = AccessConfiguration(id="c1", name="c", access=read_access(kept, limits=KENDRA))
    metadata = access_metadata(read_access(own, limits=KENDRA), configuration="c1")
    names = principals(*caller)
    rules = Rules(levels=4, configurations=[configuration])
    assert matches(rules.visible_to(names), metadata) == (sees(own, caller) and sees(kept, caller))
    assert not matches(Rules(levels=4).visible_to(names), metadata), "a configuration that is gone opens to nobody"


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"AccessControlList": {}}, "Expected a list of principals, got {} - at `AccessControlList`"),
        (
            {"AccessControlList": [{}]},
            "Expected text of 1 to 200 characters, got None - at `AccessControlList[0].Name`",
        ),
        ({"AccessControlList": [{"Name": "x" * 201}]}, "got 201 characters"),
        ({"AccessControlList": [{"Name": "x", "Type": "BOT"}]}, "Expected USER or GROUP, got 'BOT'"),
        ({"AccessControlList": [{"Name": "x", "Type": "USER", "Access": "ASK"}]}, "Expected ALLOW or DENY, got 'ASK'"),
        ({"AccessControlList": [{"Who": "x"}]}, "Unknown member 'Who' - at `AccessControlList[0]`"),
        ({"AccessControlList": [{"Name": "x", "DataSourceId": "a:b"}]}, "at `AccessControlList[0].DataSourceId`"),
        ({"AccessControlList": [{"Name": "x"}] * 201}, "Expected at most 200 principals, got 201"),
        ({"HierarchicalAccessControlList": []}, "Expected a list of 1 to 30 levels, got 0"),
        ({"HierarchicalAccessControlList": [{"PrincipalList": []}] * 31}, "got 31"),
        ({"HierarchicalAccessControlList": [[]]}, "Expected an object with PrincipalList, got []"),
    ],
)
def test_access_lists_that_are_refused(members: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_access(members, limits=KENDRA)
    assert message in str(caught.value)


# Groups within groups.

GROUP_IDS = ["a", "b", "c", "d", "e"]
MEMBERSHIPS = st.dictionaries(
    st.tuples(st.sampled_from([None, "wiki"]), st.sampled_from(GROUP_IDS)),
    st.tuples(
        st.lists(st.sampled_from(["alice", "bob"]), max_size=2),
        st.lists(st.tuples(st.sampled_from([None, "wiki"]), st.sampled_from(GROUP_IDS)), max_size=3),
    ),
    max_size=8,
)


@settings(max_examples=200, deadline=None)
@given(memberships=MEMBERSHIPS, groups=st.lists(st.sampled_from(GROUP_IDS), max_size=2, unique=True))
def test_users_are_in_the_groups_around_their_groups_also_in_a_circle(memberships: Any, groups: list[str]) -> None:
    graph = Groups(
        Group(data_source=key[0], id=key[1], users=tuple(users), groups=tuple(inner))
        for key, (users, inner) in memberships.items()
    )
    inside: set[tuple[str | None, str]] = {(None, group) for group in groups}
    while True:  # until nothing is added
        wider = inside | {k for k, (users, inner) in memberships.items() if "alice" in users or inside & set(inner)}
        if wider == inside:
            break
        inside = wider
    expected = {"user:alice"} | {f"group:{g}" if source is None else f"group/{source}:{g}" for source, g in inside}
    assert set(graph.expand(principals("alice", groups))) == expected


@pytest.fixture
def staff(store: Store) -> tuple[Client, str]:
    documents = [
        {"id": "open", "text": "ferry"},
        {"id": "office", "text": "ferry", "_acl_allow": ["group:office"]},
        {"id": "crew", "text": "ferry", "_acl_allow": ["group:crew"]},
        {"id": "wiki", "text": "ferry", "_acl_allow": ["group/wiki:crew"]},
        {"id": "not-company", "text": "ferry", "_acl_deny": ["group:company"]},
    ]
    return Client(store, embedder=BagOfStems()), fill(store, documents).uid


def found(client: Client, uid: str, **members: Any) -> set[str]:
    response = client.query(IndexId=uid, PageSize=100, **present(**members))
    return {item["DocumentId"] for item in response["ResultItems"]}


def put(client: Client, uid: str, group: str, *, users: Any = (), groups: Any = (), **members: Any) -> None:
    inside = {
        "MemberUsers": [{"UserId": user} for user in users],
        "MemberGroups": [dict(zip(("GroupId", "DataSourceId"), key, strict=False)) for key in groups],
    }
    client.put_principal_mapping(
        IndexId=uid, GroupId=group, GroupMembers={name: value for name, value in inside.items() if value}, **members
    )


def test_a_mapping_adds_groups_to_a_user_in_a_context_and_in_a_filter(staff: tuple[Client, str]) -> None:
    client, uid = staff
    alice = {"QueryText": "ferry", "UserContext": {"UserId": "alice"}}
    assert found(client, uid, **alice) == {"open", "not-company"}
    put(client, uid, "crew", users=["alice"])
    assert found(client, uid, **alice) == {"open", "crew", "not-company"}
    put(client, uid, "company", groups=[("crew",)])
    assert found(client, uid, **alice) == {"open", "crew"}
    in_filter = {"EqualsTo": {"Key": "_user_id", "Value": {"StringValue": "alice"}}}
    assert found(client, uid, QueryText="ferry", AttributeFilter=in_filter) == {"open", "crew"}
    put(client, uid, "crew", users=["bob"], DataSourceId="wiki")
    bob = {"QueryText": "ferry", "UserContext": {"UserId": "bob"}}
    assert found(client, uid, **bob) == {"open", "wiki", "not-company"}
    given_group = {"DataSourceGroups": [{"GroupId": "crew", "DataSourceId": "wiki"}]}
    assert found(client, uid, QueryText="ferry", UserContext=given_group) == {"open", "wiki", "not-company"}
    client.delete_principal_mapping(IndexId=uid, GroupId="crew")
    assert found(client, uid, **alice) == {"open", "not-company"}


def test_the_highest_ordering_id_wins(staff: tuple[Client, str]) -> None:
    client, uid = staff
    context = {"QueryText": "ferry", "UserContext": {"UserId": "alice"}}
    put(client, uid, "office", users=["alice"], OrderingId=10)
    put(client, uid, "office", users=["bob"], OrderingId=9)
    assert "office" in found(client, uid, **context)
    client.delete_principal_mapping(IndexId=uid, GroupId="office", OrderingId=9)
    assert "office" in found(client, uid, **context)
    client.delete_principal_mapping(IndexId=uid, GroupId="office", OrderingId=10)
    assert "office" not in found(client, uid, **context)
    described = client.describe_principal_mapping(IndexId=uid, GroupId="office")
    summaries = described["GroupOrderingIdSummaries"]
    assert [(each["Status"], each["OrderingId"]) for each in summaries] == [("DELETED", 10), ("SUCCEEDED", 10)]
    assert all(each["ReceivedAt"] <= each["LastUpdatedAt"] for each in summaries)


def test_groups_older_than_an_ordering_id(staff: tuple[Client, str]) -> None:
    client, uid = staff
    for number in range(14):
        put(client, uid, f"g{number:02d}", users=["alice"], OrderingId=100 - number)
    put(client, uid, "elsewhere", users=["alice"], OrderingId=1, DataSourceId="wiki")
    client.delete_principal_mapping(IndexId=uid, GroupId="g13", OrderingId=90)
    seen, more = [], {}
    while True:
        page = client.list_groups_older_than_ordering_id(IndexId=uid, OrderingId=100, MaxResults=5, **more)
        seen += [(each["GroupId"], each["OrderingId"]) for each in page["GroupsSummaries"]]
        if "NextToken" not in page:
            break
        more = {"NextToken": page["NextToken"]}
    assert seen == [(f"g{number:02d}", 100 - number) for number in range(12, 0, -1)]
    of_source = client.list_groups_older_than_ordering_id(IndexId=uid, OrderingId=2, DataSourceId="wiki")
    assert of_source["GroupsSummaries"] == [{"GroupId": "elsewhere", "OrderingId": 1}]


def test_members_listed_in_a_file(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    lines = ['{"id": "alice", "type": "USER"}', '{"id": "crew", "type": "GROUP", "dataSourceId": "wiki"}']
    (folder / "lines.json").write_text("\n".join(lines))
    (folder / "array.json").write_text(f"[{','.join(lines)}]")
    (folder / "broken.json").write_text("{")
    (folder / "kind.json").write_text('{"id": "x", "type": "BOT"}')
    client = Client(store, embedder=BagOfStems(), folders={"bucket": folder})
    index = fill(store, [{"id": "a", "text": "ferry"}])
    for name in ("lines.json", "array.json"):
        members = {"S3PathforGroupMembers": {"Bucket": "bucket", "Key": name}}
        client.put_principal_mapping(IndexId=index.uid, GroupId=name, GroupMembers=members, RoleArn="arn:aws:iam::1:r")
        group = Mappings(Notes(index)).get((None, name))
        assert (group.users, group.groups) == (("alice",), (("wiki", "crew"),))
    for name, message in [("broken.json", "Expected JSON objects"), ("kind.json", "USER or GROUP, got 'BOT'")]:
        members = {"S3PathforGroupMembers": {"Bucket": "bucket", "Key": name}}
        with pytest.raises(client.exceptions.ValidationException, match=message):
            client.put_principal_mapping(IndexId=index.uid, GroupId="g", GroupMembers=members)


def test_requests_about_mappings_that_are_refused(staff: tuple[Client, str]) -> None:
    client, uid = staff
    with pytest.raises(client.exceptions.ResourceNotFoundException, match="no mapping of the group 'ghosts'"):
        client.describe_principal_mapping(IndexId=uid, GroupId="ghosts")
    with pytest.raises(client.exceptions.ResourceNotFoundException, match="of the data source 'wiki'"):
        client.delete_principal_mapping(IndexId=uid, GroupId="ghosts", DataSourceId="wiki")
    for members, message in [
        ({"GroupMembers": {}}, "got no members"),
        ({"GroupMembers": {"MemberUsers": [{"UserId": "x"}] * 1001}}, "Expected 1 to 1000 members, got 1001"),
        ({"GroupMembers": {"MemberGroups": [{"GroupId": "g"}]}}, "Expected groups other than the group itself"),
        ({"GroupMembers": {"MemberUsers": [{"UserId": "x"}]}, "OrderingId": 32535158400001}, "Expected a whole number"),
    ]:
        with pytest.raises(client.exceptions.ValidationException, match=message):
            client.put_principal_mapping(IndexId=uid, GroupId="g", **members)


def test_what_one_client_maps_another_sees_at_once(staff: tuple[Client, str], tmp_path: Path) -> None:
    client, uid = staff
    with Store(tmp_path / "store") as store:
        other = Client(store, embedder=BagOfStems())
        for users in (["alice"], ["bob"], ["alice"]):
            put(client, uid, "crew", users=users)
            seen = {
                user
                for user in ("alice", "bob")
                if "crew" in found(other, uid, UserContext={"UserId": user}, QueryText="ferry")
            }
            assert seen == set(users)


def test_a_change_that_was_broken_off_leaves_no_stale_groups_behind(staff: tuple[Client, str]) -> None:
    client, uid = staff
    notes = Notes(client.store.index_by_uid(uid))
    put(client, uid, "crew", users=["alice"])
    assert read_groups(notes).expand(["user:alice"]) == ("user:alice", "group:crew")

    class Killed(Exception):
        pass

    class UntilKilled(Notes):
        """Notes of a process that dies once it has written a group."""

        dead = False

        def change(self, name: str, *arguments: Any) -> Any:
            if self.dead:
                raise Killed
            self.dead = name.startswith("access.groups/")
            return super().change(name, *arguments)

    with pytest.raises(Killed):
        Mappings(UntilKilled(notes.index)).put((None, "crew"), users=["bob"], groups=[])
    assert read_groups(notes).expand(["user:alice"]) == ("user:alice",)
    assert read_groups(notes).expand(["user:bob"]) == ("user:bob", "group:crew")


def test_changes_at_the_same_time_are_all_kept(staff: tuple[Client, str]) -> None:
    client, uid = staff
    threads = [
        threading.Thread(target=put, args=(client, uid, f"g{number}"), kwargs={"users": ["alice"]})
        for number in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = read_groups(Notes(client.store.index_by_uid(uid))).expand(["user:alice"])
    assert set(names) == {"user:alice", *(f"group:g{number}" for number in range(6))}


# Configurations.

ALLOW_ALICE = [{"Name": "alice", "Type": "USER", "Access": "ALLOW"}]
DENY_ALICE = [{"Name": "alice", "Type": "USER", "Access": "DENY"}]


def test_a_configuration_changes_who_sees_its_documents_at_once(store: Store) -> None:
    client = Client(store, embedder=BagOfStems())
    index = fill(store, [{"id": "a", "text": "ferry"}])
    made = client.create_access_control_configuration(
        IndexId=index.uid, Name="top secret", AccessControlList=DENY_ALICE, ClientToken="once"
    )["Id"]
    again = client.create_access_control_configuration(IndexId=index.uid, Name="other", ClientToken="once")["Id"]
    assert (again, len(made)) == (made, 36)
    (record,) = index.iter(data=True)
    index.put([record.key], [record.data], [{**record.metadata, "_acl_configuration": made}])

    def seen_by(user: str) -> bool:
        return bool(found(client, index.uid, QueryText="ferry", UserContext={"UserId": user}))

    assert (seen_by("alice"), seen_by("bob")) == (False, True)
    client.update_access_control_configuration(IndexId=index.uid, Id=made, AccessControlList=ALLOW_ALICE)
    assert (seen_by("alice"), seen_by("bob")) == (True, False)
    client.update_access_control_configuration(
        IndexId=index.uid, Id=made, HierarchicalAccessControlList=[{"PrincipalList": DENY_ALICE}], Description="both"
    )
    assert (seen_by("alice"), seen_by("bob")) == (False, False)
    described = client.describe_access_control_configuration(IndexId=index.uid, Id=made)
    described.pop("ResponseMetadata")
    assert described == {
        "Name": "top secret",
        "Description": "both",
        "AccessControlList": ALLOW_ALICE,
        "HierarchicalAccessControlList": [{"PrincipalList": DENY_ALICE}],
    }
    client.delete_access_control_configuration(IndexId=index.uid, Id=made)
    assert (seen_by("alice"), seen_by("bob")) == (False, False)
    assert found(client, index.uid, QueryText="ferry") == {"a"}, "without a context access lists are ignored"
    for operation in (client.describe_access_control_configuration, client.delete_access_control_configuration):
        with pytest.raises(client.exceptions.ResourceNotFoundException, match="no access control configuration"):
            operation(IndexId=index.uid, Id=made)


def test_configurations_are_listed_in_pages(store: Store) -> None:
    client = Client(store, embedder=BagOfStems())
    uid = fill(store, [{"id": "a", "text": "ferry"}]).uid
    made = {client.create_access_control_configuration(IndexId=uid, Name=f"c{n}")["Id"] for n in range(7)}
    listed, more = [], {}
    while True:
        page = client.list_access_control_configurations(IndexId=uid, MaxResults=3, **more)
        listed += [each["Id"] for each in page["AccessControlConfigurations"]]
        if "NextToken" not in page:
            break
        more = {"NextToken": page["NextToken"]}
    assert listed == sorted(made)


def test_levels_that_are_no_number_open_to_nobody() -> None:
    for levels in ("2", [2], None, 5):
        metadata = {"_acl_allow": ["user:alice"], "_acl_levels": levels}
        assert not matches(Rules(levels=3).visible_to(["user:alice"]), metadata)
    assert matches(Rules(levels=3).visible_to(["user:alice"]), {"_acl_allow": ["user:alice"], "_acl_levels": 1})


def test_levels_are_told_of_before_documents_have_them(store: Store) -> None:
    index = fill(store, [{"id": "a", "text": "ferry"}])
    notes = Notes(index)
    assert Rules.of(notes).levels == 1
    note_levels(notes, 3)
    note_levels(notes, 2)
    assert Rules.of(notes).levels == 3


def test_a_user_and_a_group_in_one_filter_are_one_caller(store: Store) -> None:
    client = Client(store, embedder=BagOfStems())
    levels = {"_acl_allow": ["user:alice"], "_acl_allow_2": ["group:HR"], "_acl_levels": 2}
    index = fill(store, [{"id": "a", "text": "ferry", **levels}])
    note_levels(Notes(index), 2)
    is_alice = {"EqualsTo": {"Key": "_user_id", "Value": {"StringValue": "alice"}}}
    is_hr = {"EqualsTo": {"Key": "_group_ids", "Value": {"StringListValue": ["HR"]}}}
    for attribute_filter, expected in [(is_alice, set()), ({"OrAllFilters": [is_alice, is_hr]}, {"a"})]:
        assert found(client, index.uid, QueryText="ferry", AttributeFilter=attribute_filter) == expected


def test_documents_put_through_the_client_are_seen_by_the_rule(store: Store) -> None:
    client = Client(store, embedder=BagOfStems())
    uid = client.create_index(Name="handbook", RoleArn="arn:aws:iam::1:role/r")["Id"]
    kept = client.create_access_control_configuration(IndexId=uid, Name="no alice", AccessControlList=DENY_ALICE)["Id"]

    def entry(name: str, kind: str, access: str = "ALLOW", **more: str) -> dict[str, str]:
        return {"Name": name, "Type": kind, "Access": access, **more}

    levels = [[entry("HR", "GROUP"), entry("IT", "GROUP")], [entry("alice", "USER"), entry("IT", "GROUP")]]
    lists: dict[str, dict[str, Any]] = {
        "open": {},
        "hr": {"AccessControlList": [entry("HR", "GROUP")]},
        "not-bob": {"AccessControlList": [entry("bob", "USER", "DENY")]},
        "wiki": {"AccessControlList": [entry("HR", "GROUP", DataSourceId="wiki")]},
        "levels": {"HierarchicalAccessControlList": [{"PrincipalList": level} for level in levels]},
    }
    put_documents = [{"Id": name, "Blob": b"ferry", "ContentType": "PLAIN_TEXT", **lists[name]} for name in lists]
    put_documents.append(
        {"Id": "kept", "Blob": b"ferry", "ContentType": "PLAIN_TEXT", "AccessControlConfigurationId": kept}
    )
    assert client.batch_put_document(IndexId=uid, Documents=put_documents)["FailedDocuments"] == []
    callers: list[tuple[str | None, list[str], list[tuple[str, str]]]] = [
        ("alice", [], []),
        ("alice", ["HR"], []),
        ("bob", ["HR"], []),
        ("bob", ["IT"], [("wiki", "HR")]),
    ]
    for caller in callers:
        user, groups, of_sources = caller
        context = {
            "UserId": user,
            **({"Groups": groups} if groups else {}),
            **({"DataSourceGroups": [{"DataSourceId": s, "GroupId": g} for s, g in of_sources]} if of_sources else {}),
        }
        expected = {name for name, members in lists.items() if sees(members, caller)}
        expected |= {"kept"} if sees({"AccessControlList": DENY_ALICE}, caller) else set()
        kind = {"QueryText": "ferry", "QueryResultTypeFilter": "DOCUMENT"}
        assert found(client, uid, UserContext=context, **kind) == expected
