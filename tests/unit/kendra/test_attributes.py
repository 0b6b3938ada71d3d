"""Fields and values between Kendra's form and metadata."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
from botocore.utils import parse_to_aware_datetime
from hypothesis import given, settings
from hypothesis import strategies as st

from ragvec.errors import InvalidRequest
from ragvec.filters.interpret import matches
from ragvec.kendra.attributes import BUILT_IN, Field, Schema, epoch_seconds, kendra_value, plain_value, read_value
from ragvec.kendra.filters import compile_filter
from ragvec.kendra.limits import KENDRA

ALL_TYPES = ("STRING_VALUE", "STRING_LIST_VALUE", "LONG_VALUE", "DATE_VALUE", "DOUBLE", "BOOLEAN")


def test_the_fourteen_fields_of_a_fresh_index() -> None:
    flags = {field.name: (field.displayable, field.facetable, field.searchable, field.sortable) for field in BUILT_IN}
    assert len(flags) == 14
    assert [name for name, (displayable, *_) in flags.items() if displayable] == ["_document_title", "_source_uri"]
    assert [name for name, (*_, sortable) in flags.items() if not sortable] == [
        "_authors", "_excerpt_page_number", "_source_uri",
    ]  # fmt: skip
    strict = Schema.of({"mine": "LONG_VALUE"}, strict=True)
    assert {name: field for name, field in strict.fields.items() if name != "mine"} == {f.name: f for f in BUILT_IN}
    assert strict.fields["mine"] == Field(name="mine", type="LONG_VALUE", displayable=True)


def test_an_open_schema_counts_everything_sorts_all_but_lists_and_keeps_dates_until_asked() -> None:
    schema = Schema.of({f"of_{of_type}": of_type for of_type in ALL_TYPES})
    assert all(field.facetable for field in schema.fields.values())
    assert {n for n, f in schema.fields.items() if not f.sortable} == {"_authors", "of_STRING_LIST_VALUE"}
    assert {n for n, f in schema.fields.items() if not f.displayable} == {
        "_created_at",
        "_last_updated_at",
        "of_DATE_VALUE",
    }


def test_an_unknown_recorded_type_is_named() -> None:
    with pytest.raises(InvalidRequest, match=r"got 'INT' - at `mine`"):
        Schema.of({"mine": "INT"})


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (datetime(2024, 1, 2, 3, 4, 5, tzinfo=timezone.utc), 1_704_164_645),
        (datetime(2024, 1, 2, 5, 4, 5, tzinfo=timezone(timedelta(hours=2))), 1_704_164_645),
        (datetime(2024, 1, 2, 3, 4, 5), 1_704_164_645),
        (date(2024, 1, 2), 1_704_153_600),
        ("2024-01-02", 1_704_153_600),
        ("2024-01-02T03:04:05Z", 1_704_164_645),
        ("2024-01-02T03:04:05.678Z", 1_704_164_645.678),
        ("2024-01-02T03:04:05.6Z", 1_704_164_645.6),
        ("2024-01-02T05:04:05+0200", 1_704_164_645),
        (1_704_164_645.678, 1_704_164_645.678),
        (-5, -5),
    ],
)
def test_dates_in_every_form_kendra_takes(value: Any, seconds: float) -> None:
    assert epoch_seconds(value, path="x") == seconds


@pytest.mark.parametrize("value", [True, None, [], "soon", float("nan"), float("inf")])
def test_what_is_no_date_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRequest, match="at `x`"):
        epoch_seconds(value, path="x")


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "STRING_VALUE": st.text(min_size=1, max_size=20),
    "LONG_VALUE": st.integers(-(2**53), 2**53),
    "DATE_VALUE": st.integers(-(10**10), 10**10) | st.integers(0, 2 * 10**12).map(lambda ms: ms / 1000),
    "DOUBLE": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53),
    "BOOLEAN": st.booleans(),
}


@settings(deadline=None)
@given(data=st.data(), of_type=st.sampled_from(sorted(VALUES)))
def test_a_value_as_kendra_shows_it_finds_its_document_again(data: st.DataObject, of_type: str) -> None:
    value = data.draw(VALUES[of_type])
    schema = Schema.of({"mine": of_type})
    shown = kendra_value(schema.fields["mine"], value)
    again = {"EqualsTo": {"Key": "mine", "Value": shown}}
    assert matches(compile_filter(again, schema=schema, limits=KENDRA), {"mine": value})


def test_file_types_go_by_kendras_names_in_kendras_form() -> None:
    schema = Schema.of({})
    field = schema.fields["_file_type"]
    for stored, theirs in (("docx", "MS_WORD"), ("txt", "PLAIN_TEXT"), ("md", "MD"), ("odt", "odt")):
        assert kendra_value(field, stored) == {"StringValue": theirs}
        for name in (stored, theirs):
            condition = {"EqualsTo": {"Key": "_file_type", "Value": {"StringValue": name}}}
            assert matches(compile_filter(condition, schema=schema, limits=KENDRA), {"_file_type": stored})


def test_access_lists_are_no_fields() -> None:
    assert not Schema.of({"_acl_allow": "STRING_LIST_VALUE", "_document_id": "STRING_VALUE"}).fields.keys() & {
        "_acl_allow", "_document_id",
    }  # fmt: skip


def test_a_date_beyond_the_calendar_stays_a_number() -> None:
    field = Field(name="d", type="DATE_VALUE")
    assert plain_value(field, 1.7e12) == 1.7e12
    assert kendra_value(field, 1.7e12) == {"DateValue": 1.7e12}


def test_an_unknown_field_gets_the_name_that_was_probably_meant() -> None:
    schema = Schema.of({"department": "STRING_VALUE"})
    for wrong, meant in (("category", "_category"), ("departmant", "department"), ("_category_", "_category")):
        with pytest.raises(
            InvalidRequest, match=f"The index has no field '{wrong}' - at `sort`; did you mean '{meant}'"
        ):
            schema.field(wrong, path="sort")
    with pytest.raises(InvalidRequest, match="it has _authors, _category, .*, department"):
        schema.field("zzz", path="sort")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1704164645", 1_704_164_645),
        ("1704164645.5", 1_704_164_645.5),
        ("20240102", 20_240_102),
        ("2024-01-02", 1_704_153_600),
    ],
)
def test_a_date_written_as_a_number_is_seconds_as_in_boto3(text: str, seconds: float) -> None:
    assert read_value({"DateValue": text}, path="Value", limits=KENDRA) == ("DateValue", seconds)
    assert parse_to_aware_datetime(text).timestamp() == seconds
