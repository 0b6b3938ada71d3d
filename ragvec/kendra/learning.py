"""What a query index learns from its searches, and how they are steered: the Pythonic side of `ragvec.kendra.learn`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from ragvec.errors import ResourceNotFound
from ragvec.filters.nodes import Filter
from ragvec.kendra.attributes import Schema
from ragvec.kendra.learn.analytics import METRICS, Report, report
from ragvec.kendra.learn.featured import FeaturedSet, change_set, create_set, delete_set, featured_sets
from ragvec.kendra.learn.feedback import Judgement, Verdict, judgements, submit
from ragvec.kendra.learn.journal import Asked, asked
from ragvec.kendra.learn.listed import Listed
from ragvec.kendra.learn.suggestions import Suggestion, Value, suggested_queries, suggested_values, suggestible_fields
from ragvec.kendra.learn.thesaurus import THESAURI
from ragvec.kendra.notes import Notes
from ragvec.kendra.problems import shown, unexpected
from ragvec.kendra.request.asked import conjunction
from ragvec.kendra.results import SearchResults
from ragvec.kendra.settings import Settings
from ragvec.store import Index

__all__ = ["Learning"]

_DAYS = 30


class Learning:
    """Feedback, suggestions, featured documents, synonyms and analytics of a query index.

    The first two and the last need the journal of searches: `Settings(journal=True)`.
    """

    index: Index
    notes: Notes
    settings: Settings

    @property
    def schema(self) -> Schema:
        """The fields of the index."""
        raise NotImplementedError

    def _access(self, *, user: str | None, groups: Sequence[str] | None, token: str | None) -> Filter:
        raise NotImplementedError

    def _condition(self, where: Mapping[str, Any] | Filter | None, schema: Schema) -> Filter:
        raise NotImplementedError

    # -- feedback --------------------------------------------------------------------------------------------------

    def feedback(
        self,
        found: SearchResults | str,
        *,
        relevant: Iterable[str] = (),
        irrelevant: Iterable[str] = (),
        clicked: Iterable[str] = (),
    ) -> None:
        """Note what somebody said of the documents, by id, that a search showed: `found` is what it gave, or its
        `query_id`. Later searches in the same words are moved by it, see `ragvec.kendra.learn.feedback`.

        Raises:
            InvalidRequest: nothing is said; the search is not in the journal, or did not show such a document.
        """
        query = self._asked(found)
        places = {each.document: place for place, each in reversed(list(enumerate(query.shown)))}
        said: list[tuple[int, Verdict, float | None]] = []
        given: tuple[tuple[str, Verdict, Iterable[str]], ...] = (
            ("relevant", "relevant", relevant),
            ("irrelevant", "irrelevant", irrelevant),
            ("clicked", "click", clicked),
        )
        for name, verdict, documents in given:
            if isinstance(documents, str):
                raise unexpected("a list of document ids", f"the text {shown(documents)}", path=name)
            for document in documents:
                if document not in places:
                    raise unexpected("a document that the search showed", shown(document), path=name)
                said.append((places[document], verdict, None))
        if not said:
            raise unexpected("documents that are relevant, irrelevant or clicked", "none", path="relevant")
        submit(self.notes, query, said)

    def judgements(self) -> tuple[Judgement, ...]:
        """What feedback says of queries and documents, for evaluation: grade 2 relevant, 1 clicked, 0 not relevant."""
        return judgements(self.notes)

    def _asked(self, found: SearchResults | str) -> Asked:
        query_id = found if isinstance(found, str) else found.query_id
        if not query_id:
            raise unexpected("a search in the journal: Settings(journal=True)", "one that was not noted", path="found")
        query = next((each for each in asked(self.notes) if each.id == query_id), None)
        if query is None:
            raise unexpected("a search in the journal", f"the id {shown(query_id)}", path="found")
        return query

    # -- suggestions -----------------------------------------------------------------------------------------------

    def suggest(
        self,
        typed: str,
        *,
        most: int = 5,
        user: str | None = None,
        groups: Sequence[str] | None = None,
        token: str | None = None,
    ) -> tuple[Suggestion, ...]:
        """Queries that were asked before and begin as what is typed, the most frequent first; `begin` and `end` tell
        where that stands. With a user, only what those who may see the same could have asked."""
        seen = self._access(user=user, groups=groups, token=token)
        return suggested_queries(self.notes, typed, seen=seen, most=most)

    def suggest_values(
        self,
        typed: str,
        *,
        attributes: Sequence[str] | None = None,
        where: Mapping[str, Any] | Filter | None = None,
        most: int = 5,
        user: str | None = None,
        groups: Sequence[str] | None = None,
        token: str | None = None,
    ) -> tuple[Value, ...]:
        """Values of attributes of text with a word that begins as what is typed, with documents that have them; by
        default of all attributes whose values may be suggested.

        Raises:
            InvalidRequest: there is no such attribute, or its values are not suggested.
        """
        schema = self.schema
        possible = suggestible_fields(self.notes, schema)
        if isinstance(attributes, str):
            raise unexpected("a list of attributes", f"the text {shown(attributes)}", path="attributes")
        for name in attributes or ():
            if name not in possible:
                raise unexpected(f"attributes of {', '.join(possible) or 'none'}", shown(name), path="attributes")
        access = self._access(user=user, groups=groups, token=token)
        condition = conjunction(self._condition(where, schema), access)
        names = possible if attributes is None else tuple(dict.fromkeys(attributes))
        return tuple(suggested_values(self.index, typed, attributes=names, where=condition, most=most))

    # -- featured documents ----------------------------------------------------------------------------------------

    def feature(
        self, name: str, *, queries: Sequence[str], documents: Sequence[str], active: bool = True
    ) -> FeaturedSet:
        """Show these documents, by id and in this order, above the results of these queries. A set of the same name is
        replaced.

        Raises:
            InvalidRequest: a name, query or id breaks its rule. FeaturedResultsConflict: a query is another set's.
        """
        members: dict[str, Any] = {
            "FeaturedResultsSetName": name,
            "QueryTexts": list(queries),
            "FeaturedDocuments": [{"Id": document} for document in documents],
            "Status": "ACTIVE" if active else "INACTIVE",
        }
        there = next((each for each in self.featured if each.name == name), None)
        limits = self.settings.limits
        if there is None:
            return create_set(self.notes, members, limits=limits)
        return change_set(self.notes, there.id, members, limits=limits)

    @property
    def featured(self) -> tuple[FeaturedSet, ...]:
        """The sets of featured documents, oldest first."""
        return featured_sets(self.notes)

    def unfeature(self, name: str) -> None:
        """Feature the documents of this set no more. Raises ResourceNotFound."""
        for each in self.featured:
            if each.name == name:
                delete_set(self.notes, each.id)
                return
        raise ResourceNotFound(f"There is no set of featured documents called {shown(name)}")

    # -- synonyms --------------------------------------------------------------------------------------------------

    def set_synonyms(self, rules: str | Mapping[str, Sequence[str]] | Iterable[Sequence[str]]) -> Listed:
        """Let terms bring their synonyms into every search from now on, in place of those that were set before.

        `{"PTO": ["annual leave"]}` goes one way, `[["bike", "bicycle"]]` both; a text is in the form of Solr's synonym
        files, `bike, bicycle` or `PTO => annual leave`, a rule a line. What was made of it is told by `figures`.

        Raises:
            InvalidRequest: a rule is none, or one term brings too many. QuotaExceeded: there are too many rules.
        """
        text = rules if isinstance(rules, str) else "\n".join(_lines(rules))
        limits = self.settings.limits
        held = self.synonyms
        if held is None:
            return THESAURI.create(self.notes, text, name="synonyms", limits=limits)
        return THESAURI.change(self.notes, held.id, text, limits=limits)

    @property
    def synonyms(self) -> Listed | None:
        """What is known of the synonyms: when they were set, and how many there are; None without any."""
        return next(iter(THESAURI.all(self.notes)), None)

    def drop_synonyms(self) -> None:
        """Bring no synonyms into searches any more; nothing happens where there are none."""
        held = self.synonyms
        if held is not None:
            THESAURI.delete(self.notes, held.id)

    # -- analytics -------------------------------------------------------------------------------------------------

    def analytics(
        self,
        metric: str = "QUERIES_BY_COUNT",
        *,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Report:
        """A table of the searches of the last thirty days, or from `since` until before `until`, which have a time
        zone: queries by count, by clicks that are missing, or by results that are; documents by clicks; totals, and
        their trend by day. `to_pandas()` makes a DataFrame of it.

        Raises:
            InvalidRequest: there is no such metric; a time has no zone.
        """
        if metric not in METRICS:
            raise unexpected(f"one of {', '.join(METRICS)}", shown(metric), path="metric")
        for name, moment in (("since", since), ("until", until)):
            if moment is not None and moment.tzinfo is None:
                raise unexpected("a time with its zone", str(moment), path=name)
        end = until or datetime.fromtimestamp(time.time(), tz=timezone.utc) + timedelta(seconds=1)
        start = since or end - timedelta(days=_DAYS)
        return report(self.notes, metric, start=start, end=end)


def _lines(rules: Mapping[str, Sequence[str]] | Iterable[Sequence[str]]) -> list[str]:
    if isinstance(rules, Mapping):
        return [f"{_term(term)} => {_terms(brought)}" for term, brought in rules.items()]
    return [_terms(equal) for equal in rules]


def _terms(terms: Sequence[str]) -> str:
    if isinstance(terms, str):
        raise unexpected("a list of terms", f"the text {shown(terms)}", path="rules")
    return ", ".join(map(_term, terms))


def _term(term: object) -> str:
    if not isinstance(term, str) or not term.strip() or len(term.splitlines()) > 1:
        raise unexpected("terms of one line", shown(term), path="rules")
    # As a rule has it: a comma, an arrow or a number sign is part of the term.
    return "".join(f"\\{character}" if character in "\\,=#" else character for character in term.strip())
