"""FAQs, from files and from rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ragvec.errors import Conflict
from ragvec.kendra.faqs.files import FORMATS, read_faq_file
from ragvec.kendra.faqs.manage import add_faq, add_faq_rows, delete_faq, new_faq
from ragvec.kendra.faqs.stored import Faq, faq_of, faqs_of
from ragvec.kendra.files import read_named_file
from ragvec.kendra.learn.members import CLIENT_TOKEN, ID, at, choice, page, s3_path, text
from ragvec.kendra.notes import Notes
from ragvec.kendra.operations.base import Operations, known
from ragvec.kendra.tags import add_tags, read_tags

__all__ = ["FAQS", "FaqOperations"]

FAQS = {
    "create_faq": "CreateFaq",
    "delete_faq": "DeleteFaq",
    "describe_faq": "DescribeFaq",
    "list_faqs": "ListFaqs",
}
"""Their methods, by Kendra's names."""

_NAME = 100
_DESCRIPTION = 1000
_ROLE = 1284
_LANGUAGE = "[a-zA-Z-]+"


class FaqOperations(Operations):
    """Look after the FAQs of an index."""

    def create_faq(self, **members: Any) -> dict[str, Any]:
        """Add the FAQ in the file S3Path, in the folder that stands for its bucket. One whose content is at fault is
        there all the same, FAILED, and DescribeFaq says why."""
        return self._perform("CreateFaq", self._create_faq, members)

    def describe_faq(self, **members: Any) -> dict[str, Any]:
        """What the FAQ Id of the index IndexId is."""
        return self._perform("DescribeFaq", self._describe_faq, members)

    def delete_faq(self, **members: Any) -> dict[str, Any]:
        """Delete the FAQ Id of the index IndexId."""
        return self._perform("DeleteFaq", self._delete_faq, members)

    def list_faqs(self, **members: Any) -> dict[str, Any]:
        """The FAQs of the index IndexId, oldest first; MaxResults 1 to 100 of them after NextToken."""
        return self._perform("ListFaqs", self._list_faqs, members)

    def add_faq(
        self, index_id: str, rows: Iterable[Mapping[str, Any]], *, name: str = "rows", language: str = "en"
    ) -> str:
        """Add a FAQ of these rows to the index, and return its id; Kendra has no such operation.

        A row is {"question", "answer"}, with "uri", "attributes" by name and "access", a list of {"Name", "Type",
        "Access"}, as they are needed.

        Raises:
            InvalidRequest: a row breaks a rule; nothing was added. ResourceNotFound: there is no such index.
        """
        target = self._index(index_id)
        return add_faq_rows(
            target.index,
            rows,
            name=name,
            language=language,
            schema=target.schema,
            embedder=lambda: target.embedder,
            limits=self.settings.limits,
        )

    def _create_faq(self, members: Mapping[str, Any]) -> dict[str, Any]:
        given = known(
            members, "IndexId", "Name", "Description", "S3Path", "RoleArn", "Tags", "FileFormat", "ClientToken",
            "LanguageCode", operation="CreateFaq",
        )  # fmt: skip
        target, limits = self._index(given.get("IndexId")), self.settings.limits
        source = s3_path(given, "S3Path")
        wanted = msgspec.structs.replace(
            new_faq(text(given, "Name", most=_NAME, pattern=ID)),
            description=text(given, "Description", least=0, most=_DESCRIPTION) if "Description" in given else "",
            role=text(given, "RoleArn", least=0, most=_ROLE),
            source=source,
            format=choice(given, "FileFormat", FORMATS) if "FileFormat" in given else "CSV",
            client_token=text(given, "ClientToken", most=CLIENT_TOKEN) if "ClientToken" in given else "",
            language=text(given, "LanguageCode", least=2, most=10, pattern=_LANGUAGE)
            if "LanguageCode" in given
            else "en",
        )
        tags = read_tags(given)
        notes = Notes(target.index)
        if wanted.client_token:
            for faq in faqs_of(notes).values():
                if faq.client_token == wanted.client_token:
                    if (faq.name, faq.source, faq.format) != (wanted.name, wanted.source, wanted.format):
                        raise Conflict(f"The ClientToken {wanted.client_token!r} made the FAQ {faq.name!r}")
                    return {"Id": faq.id}
        content = read_named_file(self.folders, source, most=limits.faq_bytes)
        schema = target.schema
        add_faq(
            target.index,
            wanted,
            lambda: read_faq_file(content, wanted.format, schema=schema, limits=limits),
            embedder=lambda: target.embedder,
            limits=limits,
        )
        add_tags(notes, tags, f"faq/{wanted.id}")
        return {"Id": wanted.id}

    def _describe_faq(self, members: Mapping[str, Any]) -> dict[str, Any]:
        given = known(members, "Id", "IndexId", operation="DescribeFaq")
        index = self._index(given.get("IndexId")).index
        faq = faq_of(Notes(index), text(given, "Id", most=_NAME))
        described = {
            **_summary(faq),
            "IndexId": index.uid,
            "Description": faq.description,
            "S3Path": dict(faq.source),
            "RoleArn": faq.role,
        }
        if not faq.source:
            del described["S3Path"]
        return {**described, "ErrorMessage": faq.error} if faq.error else described

    def _delete_faq(self, members: Mapping[str, Any]) -> dict[str, Any]:
        given = known(members, "Id", "IndexId", operation="DeleteFaq")
        delete_faq(self._index(given.get("IndexId")).index, text(given, "Id", most=_NAME))
        return {}

    def _list_faqs(self, members: Mapping[str, Any]) -> dict[str, Any]:
        given = known(members, "IndexId", "NextToken", "MaxResults", operation="ListFaqs")
        faqs = list(faqs_of(Notes(self._index(given.get("IndexId")).index)).values())
        shown, token = page(faqs, given)
        response: dict[str, Any] = {"FaqSummaryItems": [_summary(faq) for faq in shown]}
        return response if token is None else {**response, "NextToken": token}


def _summary(faq: Faq) -> dict[str, Any]:
    return {
        "Id": faq.id,
        "Name": faq.name,
        "Status": faq.status,
        "CreatedAt": at(faq.created),
        "UpdatedAt": at(faq.updated),
        "FileFormat": faq.format,
        "LanguageCode": faq.language,
    }
