"""Names, values, dates and types of attributes."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest

from ragvec.errors import DocumentError
from ragvec.pipeline.attributes import named, parse_date, typed
from ragvec.pipeline.documents import Document
from ragvec.pipeline.passages import AttributeType


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=timezone.utc)  # type: ignore[arg-type]  # a variable number of parts


def stored(known: dict[str, AttributeType] | None = None, /, **attributes: Any) -> dict[str, Any]:
    values, _ = typed(Document(id="d", text="t", attributes=attributes), known or {})
    return {name: value for name, value in values.items() if name not in ("_language_code", "_file_type")}


def test_known_names_become_built_in_attributes() -> None:
    found, notes = named(
        {
            "title": "Per diem",
            "category": "travel",
            "author": "Ann",
            "created_at": "2024-03-18",
            "updated_at": "2024-03-19T10:30:00Z",
            "file_type": "md",
            "view_count": 12,
            "version": "4.1",
            "language": "pt",
            "source_uri": "https://example.org/a",
            "department": "Finance",
        }
    )
    assert notes == []
    assert found == {
        "_document_title": "Per diem",
        "_category": "travel",
        "_authors": "Ann",
        "_created_at": utc(2024, 3, 18),
        "_last_updated_at": utc(2024, 3, 19, 10, 30),
        "_file_type": "md",
        "_view_count": 12,
        "_version": "4.1",
        "_language_code": "pt",
        "_source_uri": "https://example.org/a",
        "department": "Finance",
    }
    assert named(found) == (found, [])


def test_groups_and_users_become_principals() -> None:
    raw = {"access_groups": ["HR", "managers"], "access_users": "alice", "denied_users": ["bob"], "denied_groups": []}
    found, _ = named(raw)
    assert found == {"_acl_allow": ["group:HR", "group:managers", "user:alice"], "_acl_deny": ["user:bob"]}
    assert named({"access_groups": []}) == ({}, [])


def test_what_is_missing_is_left_out() -> None:
    import pandas as pd

    raw = {"a": None, "b": float("nan"), "c": [], "d": pd.NA, "e": pd.NaT, "f": np.float64("nan"), "g": 0, "h": ""}
    assert named(raw) == ({"g": 0, "h": ""}, [])


def test_values_become_plain() -> None:
    raw = {"n": np.int64(3), "x": np.float32(0.5), "yes": np.bool_(True), "names": ("b", "a"), "set": {"b", "a"}}
    found, _ = named(raw)
    assert found == {"n": 3, "x": 0.5, "yes": True, "names": ["b", "a"], "set": ["a", "b"]}
    assert [type(value) for value in found.values()] == [int, float, bool, list, list]


def test_nested_values_are_left_out_and_told() -> None:
    found, notes = named({"where": {"x": 1}, "sizes": [1, 2], "fine": "yes"})
    assert found == {"fine": "yes"}
    assert [note.split(":")[0] for note in notes] == ["attribute 'where' left out", "attribute 'sizes' left out"]


@pytest.mark.parametrize("name", ["_text", "_hash", "_document_id", "_passage", "_mine", ""])
def test_reserved_names_are_refused(name: str) -> None:
    with pytest.raises(DocumentError, match="Expected an attribute name that does not begin with '_'"):
        named({name: "x"})


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-03-18", utc(2024, 3, 18)),
        ("2024-03-18T10:30", utc(2024, 3, 18, 10, 30)),
        ("2024-03-18 10:30:15", utc(2024, 3, 18, 10, 30, 15)),
        ("2024-03-18T10:30:15.5Z", utc(2024, 3, 18, 10, 30, 15, 500_000)),
        ("2024-03-18T10:30:15.123456789Z", utc(2024, 3, 18, 10, 30, 15, 123_456)),
        ("2024-03-18T10:30+0200", utc(2024, 3, 18, 8, 30)),
        ("2024-03-18T10:30:00-05:30", utc(2024, 3, 18, 16)),
        ("2024-02-30", None),
        ("18.3.2024", None),
        ("2024", None),
        ("soon", None),
    ],
)
def test_iso_dates(text: str, moment: datetime | None) -> None:
    assert parse_date(text) == moment


def test_dates_are_stored_in_seconds() -> None:
    east = timezone(timedelta(hours=2))
    assert stored(
        created_at="2024-03-18",
        due_date="1970-01-02",
        date=date(1970, 1, 3),
        seen_at=datetime(1970, 1, 1, 2, 0, 0, 250_000, tzinfo=east),
        naive_at=datetime(1970, 1, 1, 1),
        update="2024-03-18",
    ) == {
        "_created_at": 1_710_720_000,
        "due_date": 86_400,
        "date": 172_800,
        "seen_at": 0.25,
        "naive_at": 3_600,
        "update": "2024-03-18",
    }


def test_types_follow_from_values_once() -> None:
    document = Document(
        id="d",
        text="t",
        title="T",
        uri="u",
        attributes={"s": "x", "l": ["x"], "n": 3, "x": 0.5, "b": True, "due_date": "2024-01-01", "version": 2},
    )
    values, types = typed(document, {})
    assert types == {
        "_language_code": "STRING_VALUE",
        "_document_title": "STRING_VALUE",
        "_source_uri": "STRING_VALUE",
        "_file_type": "STRING_VALUE",
        "_version": "STRING_VALUE",
        "s": "STRING_VALUE",
        "l": "STRING_LIST_VALUE",
        "n": "LONG_VALUE",
        "x": "DOUBLE",
        "b": "BOOLEAN",
        "due_date": "DATE_VALUE",
    }
    assert values["_version"] == "2"
    assert values["_language_code"] == "en"


def test_known_types_decide() -> None:
    known: dict[str, AttributeType] = {
        "when": "DATE_VALUE",
        "size": "DOUBLE",
        "count": "LONG_VALUE",
        "tags": "STRING_LIST_VALUE",
        "due_date": "STRING_VALUE",
    }
    assert stored(known, when="1970-01-02", size=3, count=4.0, tags="one", due_date="1970-01-02") == {
        "when": 86_400,
        "size": 3.0,
        "count": 4,
        "tags": ["one"],
        "due_date": "1970-01-02T00:00:00+00:00",
    }


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("_view_count", "many", "LONG_VALUE"),
        ("_view_count", True, "LONG_VALUE"),
        ("_view_count", 1.5, "LONG_VALUE"),
        ("_created_at", "last week", "DATE_VALUE"),
        ("_category", ["a", "b"], "STRING_VALUE"),
        ("known", "text", "BOOLEAN"),
    ],
)
def test_a_value_of_another_type_is_refused(name: str, value: Any, kind: str) -> None:
    with pytest.raises(DocumentError, match=rf"Expected a {kind} in attribute '{name}', as in the rest of the index"):
        typed(Document(id="d", text="t", attributes={name: value}), {"known": "BOOLEAN"})
