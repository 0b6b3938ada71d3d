"""Responses about access, and requests for them, in the shapes of AWS's own service model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator

from ragvec.kendra import Client
from ragvec.kendra.operations.access_controls import ACCESS_CONTROLS
from ragvec.kendra.operations.principals import PRINCIPALS
from ragvec.store import Store

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "kendra"))
from kendra_corpus import BagOfStems, fill

MODEL = botocore.session.get_session().get_service_model("kendra")
ENTRIES = [{"Name": "alice", "Type": "USER", "Access": "ALLOW"}, {"Name": "HR", "Type": "GROUP", "Access": "DENY"}]
LEVELS = [{"PrincipalList": [{"Name": "crew", "Type": "GROUP", "Access": "ALLOW", "DataSourceId": "wiki"}]}]
MEMBERS = {"MemberUsers": [{"UserId": "alice"}], "MemberGroups": [{"GroupId": "deck", "DataSourceId": "wiki"}]}


class Checked:
    """A client whose requests and responses are held against the service's model."""

    def __init__(self, client: Client, uid: str) -> None:
        self.client, self.uid = client, uid
        self.seen: set[str] = set()

    def __call__(self, operation: str, **members: Any) -> dict[str, Any]:
        method = {name: method for method, name in self.client.meta.method_to_api_mapping.items()}[operation]
        request = {"IndexId": self.uid, **members}
        assert ParamValidator().validate(request, MODEL.operation_model(operation).input_shape).generate_report() == ""
        response: dict[str, Any] = getattr(self.client, method)(**request)
        content = {name: value for name, value in response.items() if name != "ResponseMetadata"}
        shape = MODEL.operation_model(operation).output_shape
        if shape is None:
            assert content == {}
        else:
            assert ParamValidator().validate(content, shape).generate_report() == ""
        self.seen.add(operation)
        return content


@pytest.fixture
def checked(tmp_path: Path) -> Any:
    with Store(tmp_path / "store") as store:
        uid = fill(store, [{"id": "a", "text": "ferry"}]).uid
        yield Checked(Client(store, embedder=BagOfStems()), uid)


def test_every_operation_about_access(checked: Checked) -> None:
    checked("PutPrincipalMapping", GroupId="crew", GroupMembers=MEMBERS, OrderingId=5)
    checked(
        "PutPrincipalMapping", GroupId="crew", GroupMembers=MEMBERS, DataSourceId="wiki", OrderingId=6, RoleArn="arn"
    )
    assert checked("DescribePrincipalMapping", GroupId="crew", DataSourceId="wiki")["DataSourceId"] == "wiki"
    checked("DescribePrincipalMapping", GroupId="crew")
    listed = checked("ListGroupsOlderThanOrderingId", OrderingId=7, MaxResults=1)
    assert listed == {"GroupsSummaries": [{"GroupId": "crew", "OrderingId": 5}]}
    checked("DeletePrincipalMapping", GroupId="crew", OrderingId=7)

    made = [
        checked("CreateAccessControlConfiguration", Name="one")["Id"],
        checked(
            "CreateAccessControlConfiguration",
            Name="two",
            Description="both",
            AccessControlList=ENTRIES,
            HierarchicalAccessControlList=LEVELS,
            ClientToken="t",
        )["Id"],
    ]
    described = checked("DescribeAccessControlConfiguration", Id=made[1])
    assert (described["AccessControlList"], described["HierarchicalAccessControlList"]) == (ENTRIES, LEVELS)
    checked("UpdateAccessControlConfiguration", Id=made[0], Name="three", AccessControlList=[])
    assert checked("DescribeAccessControlConfiguration", Id=made[0]) == {"Name": "three", "AccessControlList": []}
    page = checked("ListAccessControlConfigurations", MaxResults=1)
    rest = checked("ListAccessControlConfigurations", MaxResults=1, NextToken=page["NextToken"])
    listed_ids = [each["Id"] for each in page["AccessControlConfigurations"] + rest["AccessControlConfigurations"]]
    assert listed_ids == sorted(made)
    for uid in made:
        checked("DeleteAccessControlConfiguration", Id=uid)
    assert checked.seen == {*PRINCIPALS.values(), *ACCESS_CONTROLS.values()}


@pytest.mark.parametrize("operation", sorted({*PRINCIPALS.values(), *ACCESS_CONTROLS.values()}))
def test_errors_are_those_that_the_operation_declares(checked: Checked, operation: str) -> None:
    wanted: dict[str, Any] = {
        "GroupId": "ghosts",
        "GroupMembers": MEMBERS,
        "OrderingId": 1,
        "Id": "0" * 36,
        "Name": "name",
    }
    model = MODEL.operation_model(operation)
    members = {name: wanted[name] for name in model.input_shape.required_members if name in wanted}
    declared = {shape.name for shape in model.error_shapes}
    raised = []
    for change in ({"IndexId": "0" * 36}, {"MaxResults": 10_000, "Name": "x" * 2000, "GroupId": "x" * 2000}, {}):
        known = {name: value for name, value in change.items() if name in model.input_shape.members}
        try:
            checked(operation, **{**members, **known})
        except ClientError as error:
            raised.append(error.response["Error"]["Code"])
    assert "ResourceNotFoundException" in raised
    assert set(raised) <= declared
