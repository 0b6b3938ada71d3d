"""docs/kendra.md tells of every operation of the service, and of every member of Query and Retrieve."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from ragvec.kendra.client import Client
from ragvec.store import Store

PAGE = (Path(__file__).parents[2] / "docs" / "kendra.md").read_text(encoding="utf-8")
WORDS = set(re.findall(r"\w+", PAGE))


@pytest.fixture(scope="module")
def service() -> Any:
    session = pytest.importorskip("botocore.session", reason="the service's model: pip install boto3")
    return session.get_session().get_service_model("kendra")


def members(shape: Any, seen: set[str]) -> set[str]:
    """The names of all members of a shape, those of its own members' shapes included."""
    if shape.type_name == "list":
        return members(shape.member, seen)
    if shape.type_name != "structure" or shape.name in seen:
        return set()
    seen.add(shape.name)
    return set(shape.members).union(*(members(member, seen) for member in shape.members.values()))


def test_every_operation_of_the_service_is_on_the_page(service: Any) -> None:
    assert [name for name in service.operation_names if name not in WORDS] == []


def test_the_operations_that_are_not_refused_by_name_are_those_of_the_client(service: Any, tmp_path: Path) -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("|")]
    refused = {name for row in rows if "| refused by name" in row for name in re.findall(r"\w+", row.split("|")[1])}
    with Store(tmp_path / "store") as store:
        offered = set(Client(store).meta.service_model.operation_names)
    assert offered - refused == set(service.operation_names) - refused


@pytest.mark.parametrize("operation", ["Query", "Retrieve"])
def test_every_member_of_a_search_is_on_the_page(service: Any, operation: str) -> None:
    model = service.operation_model(operation)
    wanted = members(model.input_shape, set()) | members(model.output_shape, set())
    assert sorted(wanted - WORDS) == []
