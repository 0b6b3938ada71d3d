"""Indexes: made, described, configured, listed, deleted."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec

from ragvec.errors import BucketNotFound, Conflict, IndexExists, InvalidRequest, TextFieldExists, TextFieldNotFound
from ragvec.kendra.access.tokens import read_token_configuration
from ragvec.kendra.attributes import BUILT_IN, kendra_type
from ragvec.kendra.configuration import NOTE, Configuration, configuration_of, updated_fields
from ragvec.kendra.describe import describe_index, is_query_index, summary
from ragvec.kendra.faqs.stored import delete_rows
from ragvec.kendra.learn.members import CLIENT_TOKEN, choice, mapping, mappings, text, whole
from ragvec.kendra.notes import Notes
from ragvec.kendra.operations.base import Operations, known
from ragvec.kendra.problems import shown, unexpected
from ragvec.kendra.tags import add_tags, read_tags
from ragvec.pipeline.passages import ATTRIBUTES_PROPERTY, NON_FILTERABLE, TEXT
from ragvec.pipeline.run import Pipeline
from ragvec.store import Index

__all__ = ["INDEXES", "IndexOperations"]

INDEXES = {
    "create_index": "CreateIndex",
    "delete_index": "DeleteIndex",
    "describe_index": "DescribeIndex",
    "list_indices": "ListIndices",
    "update_index": "UpdateIndex",
}
"""Their methods, by Kendra's names."""

_EDITIONS = ("DEVELOPER_EDITION", "ENTERPRISE_EDITION", "GEN_AI_ENTERPRISE_EDITION")
_POLICIES = ("ATTRIBUTE_FILTER", "USER_TOKEN")
_NAME = r"[a-zA-Z0-9][a-zA-Z0-9_-]*"
_STORE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,53}[a-z0-9]")
_ATTEMPTS = 16
_LONGEST_NAME = 1000
_LONGEST_DESCRIPTION = 1000
_LONGEST_ROLE = 1284
_SHARED = ("Name", "RoleArn", "Description", "UserTokenConfigurations", "UserContextPolicy")
_CREATED = (*_SHARED, "Edition", "ServerSideEncryptionConfiguration", "ClientToken", "Tags")
_GROUPS = "UserGroupResolutionConfiguration"
_JWT = (
    "KeyLocation", "URL", "SecretManagerArn", "UserNameAttributeField", "GroupAttributeField", "Issuer", "ClaimRegex",
)  # fmt: skip


class IndexOperations(Operations):
    """Look after indexes."""

    def create_index(self, **members: Any) -> dict[str, Any]:
        """Make an index called Name, in the client's bucket; it is ACTIVE at once. The same ClientToken again gives the
        same index."""
        return self._perform("CreateIndex", self._create_index, members)

    def describe_index(self, **members: Any) -> dict[str, Any]:
        """What the index with this Id is: its name, fields and figures."""
        return self._perform("DescribeIndex", self._describe_index, members)

    def update_index(self, **members: Any) -> dict[str, Any]:
        """Change what is given of the index with this Id; fields are added or changed, and none is ever removed."""
        return self._perform("UpdateIndex", self._update_index, members)

    def delete_index(self, **members: Any) -> dict[str, Any]:
        """Delete the index with this Id, with its documents, FAQs and settings."""
        return self._perform("DeleteIndex", self._delete_index, members)

    def list_indices(self, **members: Any) -> dict[str, Any]:
        """The query indexes of the store, in order of bucket and name; MaxResults 1 to 100 of them after NextToken."""
        return self._perform("ListIndices", self._list_indices, members)

    def _create_index(self, members: Mapping[str, Any]) -> dict[str, Any]:
        given = known(members, *_CREATED, _GROUPS, operation="CreateIndex")
        now = time.time()
        wanted = Configuration(
            name=text(given, "Name", most=_LONGEST_NAME, pattern=_NAME),
            created=now,
            updated=now,
            role=text(given, "RoleArn", least=0, most=_LONGEST_ROLE),
            edition=_edition(given),
            encryption=_encryption(given),
            client_token=text(given, "ClientToken", most=CLIENT_TOKEN) if "ClientToken" in given else "",
            fields={field.name: field for field in BUILT_IN},
        )
        wanted = _changed(wanted, given)
        tags = read_tags(given)
        pipeline: Pipeline | None = None
        for _ in range(_ATTEMPTS):
            # The name in the store first: whoever takes it, or one before it, meanwhile, has a configuration from the
            # first, and is either seen by `_made` or keeps this index from being made.
            index = self._new_index(wanted.name)
            made = self._made(wanted)
            if made is not None:
                return {"Id": made.uid}
            pipeline = pipeline or Pipeline(index=index, embedder=self._embedder)
            try:
                index.bucket.create_index(
                    index.name,
                    dimension=pipeline.embedder.dimension,
                    non_filterable=NON_FILTERABLE,
                    properties=Notes.first(NOTE, wanted),
                )
            except IndexExists:
                continue
            Pipeline(index=index, embedder=self._embedder).run([], progress=False)
            add_tags(Notes(index), tags)
            _record_types(index, wanted)
            return {"Id": index.uid}
        raise Conflict(f"Others made indexes with names like {shown(wanted.name)} {_ATTEMPTS} times in a row")

    def _made(self, wanted: Configuration) -> Index | None:
        """The index that an earlier request with the same token made. Raises Conflict, IndexExists."""
        try:
            indexes = self.store.bucket(self.bucket).indexes()
        except BucketNotFound:
            return None
        for index in indexes:
            there = configuration_of(index)
            if there is None:
                continue
            if wanted.client_token and there.client_token == wanted.client_token:
                if there.name != wanted.name:
                    raise Conflict(f"The ClientToken {shown(wanted.client_token)} made the index {there.name!r}")
                return index
            if there.name == wanted.name:
                raise IndexExists(f"There is an index called {wanted.name!r} already, with the id {index.uid}")
        return None

    def _new_index(self, name: str) -> Index:
        """A handle to an index that does not exist yet; its name in the store is like `name`."""
        bucket = self.store.create_bucket(self.bucket, exist_ok=True)
        plain = name if _STORE_NAME.fullmatch(name) else _plain_name(name)
        number = 1
        while bucket.index(plain if number == 1 else f"{plain}-{number}").exists():
            number += 1
        return bucket.index(plain if number == 1 else f"{plain}-{number}")

    def _describe_index(self, members: Mapping[str, Any]) -> dict[str, Any]:
        known(members, "Id", operation="DescribeIndex")
        target = self._index(members.get("Id"), path="Id")
        return describe_index(target.index, schema=target.schema, account=self.account)

    def _update_index(self, members: Mapping[str, Any]) -> dict[str, Any]:
        updates, capacity = "DocumentMetadataConfigurationUpdates", "CapacityUnits"
        given = known(members, "Id", *_SHARED, _GROUPS, updates, capacity, operation="UpdateIndex")
        target = self._index(given.get("Id"), path="Id")

        def change(before: Configuration | None) -> Configuration:
            there = before or _configuration_for(target.index)
            fields = there.fields
            if updates in given:
                fields = updated_fields(given[updates], configured=fields, schema=target.schema)
            replaced = msgspec.structs.replace(there, fields=fields, updated=time.time())
            if "Name" in given:
                replaced = msgspec.structs.replace(
                    replaced, name=text(given, "Name", most=_LONGEST_NAME, pattern=_NAME)
                )
            if "RoleArn" in given:
                role = text(given, "RoleArn", least=0, most=_LONGEST_ROLE)
                replaced = msgspec.structs.replace(replaced, role=role)
            if capacity in given:
                replaced = msgspec.structs.replace(replaced, capacity=_capacity(given))
            return _changed(replaced, given)

        after = Notes(target.index).change(NOTE, Configuration, change)
        assert after is not None
        _record_types(target.index, after)
        _search_words(target.index, after)
        return {}

    def _delete_index(self, members: Mapping[str, Any]) -> dict[str, Any]:
        known(members, "Id", operation="DeleteIndex")
        target = self._index(members.get("Id"), path="Id")
        delete_rows(target.index)
        target.index.delete_index()
        with self._lock:
            self._opened.pop(str(members.get("Id")), None)
        return {}

    def _list_indices(self, members: Mapping[str, Any]) -> dict[str, Any]:
        known(members, "NextToken", "MaxResults", operation="ListIndices")
        longest = self.settings.limits.page_of_indices
        most = whole(members, "MaxResults", least=1, most=longest) if "MaxResults" in members else longest
        token = text(members, "NextToken", most=800) if "NextToken" in members else ""
        after = tuple(token.split("/", 1))  # neither bucket nor index names hold a slash
        indexes = [index for bucket in self.store.buckets() for index in bucket.indexes() if is_query_index(index)]
        rest = [index for index in indexes if (index.bucket.name, index.name) > after]
        response: dict[str, Any] = {"IndexConfigurationSummaryItems": [summary(index) for index in rest[:most]]}
        if len(rest) > most:
            response["NextToken"] = f"{rest[most - 1].bucket.name}/{rest[most - 1].name}"
        return response


def _plain_name(name: str) -> str:
    letters = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-")
    return f"{letters or 'index'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _configuration_for(index: Index) -> Configuration:
    """What an index that the pipeline made starts with; its fields stay as open as they are until they are named."""
    return Configuration(name=index.name, created=float(index.spec.created), updated=float(index.spec.created))


def _changed(configuration: Configuration, given: Mapping[str, Any]) -> Configuration:
    """With those of the members that CreateIndex and UpdateIndex share."""
    changes: dict[str, Any] = {}
    if "Description" in given:
        changes["description"] = text(given, "Description", least=0, most=_LONGEST_DESCRIPTION)
    if "UserContextPolicy" in given:
        changes["policy"] = choice(given, "UserContextPolicy", _POLICIES)
    if "UserTokenConfigurations" in given:
        changes["user_tokens"] = _user_tokens(given)
    if _GROUPS in given:
        mode = choice(
            mapping(given, _GROUPS, "UserGroupResolutionMode"), "UserGroupResolutionMode", ("AWS_SSO", "NONE"),
            path=f"{_GROUPS}.UserGroupResolutionMode",
        )  # fmt: skip
        if mode == "AWS_SSO":
            raise InvalidRequest(
                f"There is no IAM Identity Center here: expected NONE, and PutPrincipalMapping for groups - at "
                f"`{_GROUPS}.UserGroupResolutionMode`",
                path=_GROUPS,
            )
        changes["group_resolution"] = {"UserGroupResolutionMode": mode}
    return msgspec.structs.replace(configuration, **changes)


def _edition(given: Mapping[str, Any]) -> str:
    return choice(given, "Edition", _EDITIONS) if "Edition" in given else "ENTERPRISE_EDITION"


def _encryption(given: Mapping[str, Any]) -> dict[str, Any]:
    name = "ServerSideEncryptionConfiguration"
    if name not in given:
        return {}
    key = mapping(given, name, "KmsKeyId")
    return {"KmsKeyId": text(key, "KmsKeyId", most=2048, path=f"{name}.KmsKeyId")} if key else {}


def _capacity(given: Mapping[str, Any]) -> dict[str, int]:
    names = ("StorageCapacityUnits", "QueryCapacityUnits")
    units = mapping(given, "CapacityUnits", *names)
    return {name: whole(units, name, least=0, most=2**31 - 1, path=f"CapacityUnits.{name}") for name in names}


def _user_tokens(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    name, kinds = "UserTokenConfigurations", ("JwtTokenTypeConfiguration", "JsonTokenTypeConfiguration")
    found = []
    for path, each in mappings(given, name, *kinds, most=1):
        if len(each) != 1:
            raise unexpected(f"exactly one of {', '.join(kinds)}", ", ".join(each) or "nothing", path=path)
        (kind,) = each
        members = _JWT if kind == kinds[0] else ("UserNameAttributeField", "GroupAttributeField")
        token = mapping({f"{path}.{kind}": each[kind]}, f"{path}.{kind}", *members)
        for member in token:
            longest = {"Issuer": 65, "ClaimRegex": 100, "SecretManagerArn": 1284, "URL": 2048}.get(member, 100)
            text(token, member, most=longest, path=f"{path}.{kind}.{member}")
        if kind == kinds[0]:
            choice(token, "KeyLocation", ("URL", "SECRET_MANAGER"), path=f"{path}.{kind}.KeyLocation")
        found.append({kind: token})
    read_token_configuration(found, path=name)
    return found


def _search_words(index: Index, configuration: Configuration) -> None:
    """See that words of a query are sought in the fields that are searchable, and in no other that was configured; an
    index whose words are not searched stays so."""
    there = index.text_fields
    for name, field in configuration.fields.items():
        if TEXT not in there or field.type not in ("STRING_VALUE", "STRING_LIST_VALUE"):
            continue
        if field.searchable and name not in there:
            with suppress(TextFieldExists):  # by another process, just now
                index.add_text(name, language=there[TEXT])
        elif not field.searchable and name in there:
            with suppress(TextFieldNotFound):
                index.drop_text(name)


def _record_types(index: Index, configuration: Configuration) -> None:
    """See that documents' attributes are stored in the types that their fields have."""
    ours = {
        name: kendra_type(field) for name, field in configuration.fields.items() if field.type == kendra_type(field)
    }
    while True:
        recorded = index.property(ATTRIBUTES_PROPERTY)
        merged = {**ours, **(recorded or {})}
        if merged == recorded or index.set_property(ATTRIBUTES_PROPERTY, merged, expected=recorded):
            return
