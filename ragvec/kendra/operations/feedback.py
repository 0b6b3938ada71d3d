"""Feedback on results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ragvec.kendra.attributes import epoch_seconds
from ragvec.kendra.errors import UnknownQuery
from ragvec.kendra.learn.feedback import Verdict, submit
from ragvec.kendra.learn.journal import Asked, asked
from ragvec.kendra.learn.members import choice, mappings, text
from ragvec.kendra.notes import Notes
from ragvec.kendra.operations.base import Operations, known
from ragvec.kendra.problems import shown, unexpected
from ragvec.kendra.render import item_id

__all__ = ["FeedbackOperations"]

_VERDICTS: dict[str, Verdict] = {"RELEVANT": "relevant", "NOT_RELEVANT": "irrelevant"}
_MOST = 1000
_RESULT_ID = 73


class FeedbackOperations(Operations):
    """Take what people say of results."""

    def submit_feedback(self, **members: Any) -> dict[str, Any]:
        """Note clicks on results of a query and verdicts on them; they move the documents in later queries."""
        return self._perform("SubmitFeedback", self._submit_feedback, members)

    def _submit_feedback(self, members: Mapping[str, Any]) -> dict[str, Any]:
        given = known(
            members, "IndexId", "QueryId", "ClickFeedbackItems", "RelevanceFeedbackItems", operation="SubmitFeedback"
        )
        notes = Notes(self._index(given.get("IndexId")).index)
        query_id = text(given, "QueryId", most=36)
        said: list[tuple[str, Verdict, float | None]] = []
        if "ClickFeedbackItems" in given:
            for path, item in mappings(given, "ClickFeedbackItems", "ResultId", "ClickTime", most=_MOST):
                result = text(item, "ResultId", most=_RESULT_ID, path=f"{path}.ResultId")
                said.append((result, "click", epoch_seconds(item.get("ClickTime"), path=f"{path}.ClickTime")))
        if "RelevanceFeedbackItems" in given:
            for path, item in mappings(given, "RelevanceFeedbackItems", "ResultId", "RelevanceValue", most=_MOST):
                result = text(item, "ResultId", most=_RESULT_ID, path=f"{path}.ResultId")
                value = choice(item, "RelevanceValue", tuple(_VERDICTS), path=f"{path}.RelevanceValue")
                said.append((result, _VERDICTS[value], None))
        if not said:
            raise unexpected("ClickFeedbackItems or RelevanceFeedbackItems", "neither", path="SubmitFeedback")
        query = next((each for each in asked(notes) if each.id == query_id), None)
        if query is None:
            raise UnknownQuery(f"The index keeps no query with the id {shown(query_id)}")
        places = _places(query)
        for result, *_ in said:
            if result not in places:
                raise UnknownQuery(f"The query {query_id} has no result with the id {shown(result)}")
        submit(notes, query, [(places[result], verdict, at) for result, verdict, at in said])
        return {}


def _places(query: Asked) -> dict[str, int]:
    """The position of each result of a query, by its id."""
    return {item_id(query.id, result.type, result.document): place for place, result in enumerate(query.shown)}
