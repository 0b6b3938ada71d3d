"""What Kendra's resources are made of: FAQ files, configurations of fields, enrichment, requests of every operation."""

from __future__ import annotations

from ragvec.errors import InvalidRequest
from ragvec.kendra.attributes import Schema
from ragvec.kendra.configuration import FIELDS, updated_fields
from ragvec.kendra.enrich import enriched, read_enrichment
from ragvec.kendra.faqs.files import FORMATS, read_faq_file
from ragvec.kendra.limits import KENDRA
from ragvec.kendra.model.check import ParamValidationError, check_request
from ragvec.kendra.model.operations import REQUESTS
from tests.fuzz.harness import ABSENT, Target, decoded, told

__all__ = ["TARGETS"]

_SCHEMA = Schema.of(
    {"year": "LONG_VALUE", "tags": "STRING_LIST_VALUE", "line": "STRING_VALUE", "due": "DATE_VALUE"}, strict=True
)


def kendra_faq_file(data: bytes) -> None:
    for kind in FORMATS:
        try:
            rows = read_faq_file(data, kind, schema=_SCHEMA, limits=KENDRA)
        except InvalidRequest as error:
            told(error)
            continue
        assert rows
        for row in rows:
            assert 1 <= len(row.question) <= 300
            assert 1 <= len(row.answer) <= 2000


def kendra_fields(data: bytes) -> None:
    document = decoded(data)
    if document is ABSENT:
        return
    try:
        fields = updated_fields(document, configured={}, schema=_SCHEMA)
    except InvalidRequest as error:
        told(error)
        return
    assert len(fields) <= FIELDS
    assert all(field.type == _SCHEMA.fields[name].type for name, field in fields.items() if name in _SCHEMA.fields)


def kendra_enrichment(data: bytes) -> None:
    document = decoded(data)
    if document is ABSENT:
        return
    members = {"CustomDocumentEnrichmentConfiguration": {"InlineConfigurations": document}}
    try:
        rules = read_enrichment(members, schema=_SCHEMA, limits=KENDRA)
    except InvalidRequest as error:
        told(error)
        return
    for stored in ({}, {"year": 3, "tags": ["a", "b"], "line": "ab", "due": 1.5}):
        assert set(enriched(rules, stored).stored) <= set(_SCHEMA.fields)


def kendra_any_request(data: bytes) -> None:
    document = decoded(data)
    if not isinstance(document, dict):
        return
    for operation in REQUESTS:
        try:
            check_request(operation, document)
        except ParamValidationError:
            continue  # it quotes what it was given in full, as boto3 does
        except InvalidRequest as error:
            told(error)


_UID = b"0" * 36
TARGETS = [
    Target(
        "kendra_faq_file",
        kendra_faq_file,
        (
            b'When?, At noon., https://ferry.example\n\n"Who\nsails?","The ""Ann"""\r\n',
            b"_question,_answer,year,due,tags,line,_acl_user_allow,_acl_group_deny\n"
            b'When?,Noon.,3,2024-01-02,"a, b",N,u,g\n',
            b"_question,_answer,year\na,b," + b"9" * 5000,
            b"_question,_answer,due\na,b,9999-12-31T23:59:59-23:59\nc,d,0001-01-01T00:00:00+23:59\n",
            b'{"SchemaVersion": 1, "FaqDocuments": [{"Question": "When?", "Answer": "Noon.", "Attributes": {"year": 3, '
            b'"tags": ["a"], "due": "2024-01-02"}, "AccessControlList": [{"Name": "u", "Type": "USER", "Access": '
            b'"ALLOW"}]}]}',
            b'{"SchemaVersion": 1e0, "FaqDocuments": [{"Question": "\\ud800", "Answer": "\\u0000"}]}',
            b'{"SchemaVersion": 1, "FaqDocuments": [{"Question": "a", "Answer": "b", "Attributes": {"due": 1e308}}]}',
            b'{"SchemaVersion": 1, "FaqDocuments": ' + b"[" * 5000,
            b'a,"' + b"b" * 200_000,
            b"\xef\xbb\xbfa,b",
            b"a\0b,c",
        ),
    ),
    Target(
        "kendra_fields",
        kendra_fields,
        (
            b'[{"Name": "year", "Type": "LONG_VALUE", "Search": {"Facetable": true}, "Relevance": {"Importance": 3}}]',
            b'[{"Name": "new", "Type": "DATE_VALUE", "Relevance": {"Freshness": true, "Duration": "25920000s"}}]',
            b'[{"Name": "line", "Type": "STRING_VALUE", "Relevance": {"ValueImportanceMap": {"N": 3, "S": 10}}}]',
            b'[{"Name": "\\ud800", "Type": "LONG_VALUE"}]',
            b'[{"Name": [], "Type": {}}]',
            b'[{"Name": "a", "Type": "LONG_VALUE", "Relevance": {"Freshness": [], "Importance": 1e999}}]',
        ),
    ),
    Target(
        "kendra_enrichment",
        kendra_enrichment,
        (
            b'[{"Condition": {"ConditionDocumentAttributeKey": "year", "Operator": "GreaterThan", "ConditionOnValue": '
            b'{"LongValue": 2}}, "Target": {"TargetDocumentAttributeKey": "line", "TargetDocumentAttributeValue": '
            b'{"StringValue": "N"}}, "DocumentContentDeletion": true}]',
            b'[{"Condition": {"ConditionDocumentAttributeKey": "tags", "Operator": "Contains", "ConditionOnValue": '
            b'{"StringValue": "a"}}, "Target": {"TargetDocumentAttributeKey": "tags", '
            b'"TargetDocumentAttributeValueDeletion": true}}]',
            b'[{"Condition": {"ConditionDocumentAttributeKey": "due", "Operator": "LessThan", "ConditionOnValue": '
            b'{"DateValue": 1e308}}, "DocumentContentDeletion": true}]',
            b'[{"Condition": {"ConditionDocumentAttributeKey": "tags", "Operator": "BeginsWith", "ConditionOnValue": '
            b'{"StringListValue": ["a"]}}, "DocumentContentDeletion": true}]',
        ),
    ),
    Target(
        "kendra_any_request",
        kendra_any_request,
        (
            b'{"IndexId": "' + _UID + b'", "QueryText": "x", "Facets": [{"Facets": [{}]}], "PageSize": 1e3}',
            b'{"IndexId": "' + _UID + b'", "Documents": [{"Id": "a", "Blob": "\\ud800", "Attributes": [{"Key": 3}]}]}',
            b'{"Id": "'
            + _UID
            + b'", "DocumentMetadataConfigurationUpdates": [{"Relevance": {"ValueImportanceMap": {"": 0}}}]}',
            b'{"IndexId": "\\ud800", "AttributeFilter": ' + b'{"NotFilter": ' * 300 + b"{}" + b"}" * 301,
            b'{"IndexId": 1' + b"0" * 5000 + b', "MaxResults": -1' + b"0" * 5000 + b"}",
        ),
    ),
]
