"""`SearchWidget`: search an index in a notebook."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import msgspec
import traitlets

from ragvec.errors import InvalidRequest, RagvecError
from ragvec.kendra.index import QueryIndex
from ragvec.kendra.learn.suggestions import suggestible_fields
from ragvec.kendra.request.native import Facet
from ragvec.kendra.results import SearchResults
from ragvec.pipeline.passages import DOCUMENT_TITLE
from ragvec.widgets.call import python_of
from ragvec.widgets.conditions import Condition, where_of
from ragvec.widgets.fields import OPERATORS, UsedField, label_of, used_fields
from ragvec.widgets.front_end import CSS, module_of
from ragvec.widgets.judgements import Judgements
from ragvec.widgets.question import MODES, Question, ask, modes_of
from ragvec.widgets.source import source_of
from ragvec.widgets.view import facets_view, results_view, source_view

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ragvec.store import Index

__all__ = ["SearchWidget"]

_SUGGESTIONS = 8
_MOST_TITLES = 200_000
"""Passages of an index whose titles are suggested: all of them are read for it, once."""
_KINDS = ("items", "featured", "answers", "faqs")


class SearchWidget(anywidget.AnyWidget):
    """A search page over an index that the pipeline filled, or over a `QueryIndex` with your settings.

    `value` is the query, `mode` one of "query", "hybrid", "dense" and "text", `sort` an attribute ("-" before it
    descending), `page`, `user` and `groups` are as in `QueryIndex.search`, and `where` is a filter that holds beside
    what is chosen in the widget. Setting one of them searches, and each can be observed. `results` is the page as a
    DataFrame, `found` the same as `SearchResults`, `code` the Python that finds it again, `error` what went wrong, as
    it is shown.

    `facets` names the attributes that are counted; by default those of which several documents share a value. Verdicts
    of the thumbs are in `judgements`, written to the folder `qrels` where one is given, and sent as feedback where the
    settings keep a journal.

    Raises:
        InvalidRequest: `index` is neither; `embedder` is given beside a QueryIndex.
    """

    _esm = module_of("search")
    _css = CSS

    value = traitlets.Unicode("", help="the query")
    mode = traitlets.Enum(tuple(MODES), "query", help="how it is asked")
    sort = traitlets.Unicode("", help="the attribute to sort by, '-' before it descending; none: by relevance")
    page = traitlets.Int(1, help="the page, from 1")
    page_size = traitlets.Int(10, help="documents a page")
    user = traitlets.Unicode(None, allow_none=True, help="who asks")
    groups = traitlets.Tuple(None, allow_none=True, help="the groups of who asks")
    where = traitlets.Dict(None, allow_none=True, help="a filter beside those chosen in the widget")
    results = traitlets.Any(None, help="the page as a DataFrame")
    found = traitlets.Any(None, help="the page as SearchResults")
    code = traitlets.Unicode("", help="the Python that finds it again")
    error = traitlets.Unicode("", help="what went wrong with the last action")
    _view = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        index: Index | QueryIndex,
        value: str = "",
        *,
        embedder: Any = None,
        facets: Sequence[str] | None = None,
        qrels: str | Path | None = None,
        **traits: Any,
    ) -> None:
        if isinstance(index, QueryIndex) and embedder is not None:
            raise InvalidRequest("Expected `embedder` with an index only: a QueryIndex has one", path="embedder")
        self.query_index = index if isinstance(index, QueryIndex) else QueryIndex(index, embedder=embedder)
        self.judgements = Judgements(qrels)
        self.conditions: tuple[Condition, ...] = ()
        self.chosen: dict[str, list[Any]] = {}
        self._facets = facets
        self._fields: tuple[UsedField, ...] = ()
        self._modes = modes_of(self.query_index)
        self._quiet = True
        self._asked_as: tuple[Any, ...] | None = None
        self._question: Question | None = None
        self._milliseconds = 0.0
        self._source: dict[str, Any] | None = None
        super().__init__(**traits)
        self.value = value
        self._quiet = False
        self.on_msg(self._on_message)
        self.observe(self._on_change, ["value", "mode", "sort", "page", "page_size", "user", "groups", "where"])
        self.search()

    def __repr__(self) -> str:
        return f"SearchWidget({self.query_index.index!r}, {self.value!r})"

    # -- what a person does, from Python too -----------------------------------------------------------------------

    def search(self, value: str | None = None, **changes: Any) -> SearchResults:
        """Search, with these traits changed at once; a change of anything but the page goes to the first page.

        Raises:
            RagvecError: also shown in the widget, which then keeps its results.
        """
        changed = changes if value is None else {"value": value, **changes}
        with self._shown_errors():
            with self._silence():
                if changed and "page" not in changed:
                    self.page = 1
                for name, new in changed.items():
                    if not self.has_trait(name):
                        raise InvalidRequest(f"Expected a trait of the widget, got {name!r}", path=name)
                    setattr(self, name, new)
            self._search()
        found: SearchResults = self.found
        return found

    def choose(self, name: str, value: Any) -> SearchResults:
        """Choose a value of a facet, or take the choice back; of several values any counts. A date is its year."""
        with self._shown_errors():
            self.query_index.schema.facetable(name, path="facets")
            values = self.chosen.setdefault(name, [])
            if value in values:
                values.remove(value)
            else:
                values.append(value)
            self.chosen = {each: some for each, some in self.chosen.items() if some}
            return self.search(page=1)

    def add_condition(self, field: str, operator: str, value: str = "") -> SearchResults:
        """Add a line to the filter, as `ragvec.widgets.conditions.Condition`. A wrong one is refused and not kept."""
        with self._shown_errors():
            condition = Condition(field, operator, value)
            self.query_index.condition(condition.where(self.query_index.schema))
            if condition not in self.conditions:
                self.conditions = (*self.conditions, condition)
            return self.search(page=1)

    def remove_condition(self, position: int) -> SearchResults:
        """Take a line from the filter."""
        self.conditions = self.conditions[:position] + self.conditions[position + 1 :]
        return self.search(page=1)

    def clear(self) -> SearchResults:
        """Take back every choice and condition; `where` stays."""
        self.chosen, self.conditions = {}, ()
        return self.search(page=1)

    def suggest(self, typed: str) -> tuple[str, ...]:
        """Queries asked before that begin so, where a journal is kept, then titles with a word that does, in an
        index of at most 200,000 passages."""
        access: dict[str, Any] = {"user": self.user, "groups": self.groups}
        query_index = self.query_index
        found = [one.text for one in query_index.suggest(typed, most=_SUGGESTIONS, **access)]
        possible = suggestible_fields(query_index.notes, query_index.schema)
        if DOCUMENT_TITLE in possible and query_index.index.count() <= _MOST_TITLES:
            titles = query_index.suggest_values(typed, attributes=[DOCUMENT_TITLE], most=_SUGGESTIONS, **access)
            found += [title.suggestion.text for title in titles]
        return tuple(dict.fromkeys(found))[:_SUGGESTIONS]

    def judge(self, document_id: str, relevant: bool | None) -> None:
        """Note that a document is relevant for the query, is not, or with None that nobody says so any more.

        What is taken back leaves `judgements`; feedback that was sent stays in the journal.
        """
        with self._shown_errors():
            self.judgements.judge(self.value, document_id, None if relevant is None else int(relevant))
            if relevant is not None and self.found is not None and self.found.query_id:
                said = {"relevant" if relevant else "irrelevant": [document_id]}
                self.query_index.feedback(self.found, **said)
            self._show()

    def open_source(self, kind: str, position: int, *, whole: bool = False) -> None:
        """Show a result's passage in its document: `kind` is "items", "featured" or "answers"."""
        with self._shown_errors():
            if kind == "faqs":
                raise InvalidRequest("A row of a FAQ stands in no document", path="kind")
            item = self._result(kind, position)
            source = source_of(
                self.query_index, item.document_id, item.passage, whole=whole, user=self.user, groups=self.groups
            )
            if self.found.query_id and self.found.text:
                self.query_index.feedback(self.found, clicked=[item.document_id])
            self._source = {"kind": kind, "at": position, **source_view(source)}
            self._show()

    def close_source(self) -> None:
        """Show the results alone."""
        self._source = None
        self._show()

    # -- how it does so --------------------------------------------------------------------------------------------

    def _search(self) -> None:
        access = (self.user, self.groups, self.query_index.index.stats().sequence)
        if access != self._asked_as:
            # What fields and values there are depends on who asks.
            self._fields = used_fields(self.query_index, user=self.user, groups=self.groups)
            self._asked_as = access
        question = self._as_question()
        began = time.perf_counter()
        found = ask(self.query_index, question)
        milliseconds = (time.perf_counter() - began) * 1e3
        self._question, self._milliseconds, self._source = question, milliseconds, None
        with self._silence():
            self.found, self.results = found, found.to_pandas()
            self.code = python_of(self.query_index, question)
        self._show()

    def _as_question(self) -> Question:
        schema = self.query_index.schema
        parts: dict[str, Any] = {"conditions": self.conditions, "schema": schema, "fixed": self.where}
        names = self._facets
        if names is None:
            # An index's own fields say more of its documents than the built-in ones.
            named = [field.name for field in self._fields if field.facet]
            names = sorted(named, key=lambda name: (name.startswith("_"), name))
        return Question(
            text=self.value,
            mode=self.mode,
            where=where_of(chosen=self.chosen, **parts),
            facets=tuple(
                Facet(
                    name,
                    interval="year" if schema.facetable(name, path="facets").type == "DATE_VALUE" else None,
                    disjunctive=True,
                )
                for name in dict.fromkeys([*names, *self.chosen])
            ),
            without={
                name: where_of(chosen={n: v for n, v in self.chosen.items() if n != name}, **parts)
                for name in self.chosen
            },
            sort=self.sort,
            page=self.page,
            page_size=self.page_size,
            user=self.user,
            groups=self.groups,
        )

    def _show(self, *, error: str = "") -> None:
        """Have the front end show everything as it is now."""
        view: dict[str, Any] = {
            "name": f"{self.query_index.index.bucket.name}/{self.query_index.index.name}",
            "value": self.value,
            "mode": self.mode,
            "modes": [[mode, MODES[mode]] for mode in self._modes],
            "sort": self.sort,
            "sorts": self._sorts(),
            "user": self.user or "",
            "groups": ", ".join(self.groups or ()),
            "fields": [
                [field.name, field.label, list(OPERATORS[field.type]), list(field.values)] for field in self._fields
            ],
            "conditions": [f"{label_of(each.field)} {each.operator} {each.value}".strip() for each in self.conditions],
            "code": self.code,
            "error": error,
            "source": self._source,
        }
        if self.found is not None:
            judged = self.judgements.of(self.value)
            mode = self._question.mode if self._question is not None and self._question.text.strip() else "query"
            view["results"] = results_view(self.found, mode=mode, judged=judged)
            view["facets"] = facets_view(self.found, self.chosen)
            view["milliseconds"] = self._milliseconds
        self.error = error
        self._view = view

    def _sorts(self) -> list[list[str]]:
        sorts = [["", "Relevance"]]
        for field in self._fields:
            if field.sortable:
                least, most = ("oldest", "newest") if field.type == "DATE_VALUE" else ("ascending", "descending")
                sorts += [[field.name, f"{field.label}, {least}"], [f"-{field.name}", f"{field.label}, {most}"]]
        known = {value for value, _ in sorts}
        return sorts if self.sort in known else [*sorts, [self.sort, self.sort]]

    def _result(self, kind: str, position: int) -> Any:
        items = getattr(self.found, kind) if kind in _KINDS and self.found is not None else ()
        if not 0 <= position < len(items):
            raise InvalidRequest(f"Expected a result that is shown, got {kind} {position}", path="position")
        return items[position]

    def _on_change(self, change: Mapping[str, Any]) -> None:
        if not self._quiet:
            self.search(**{change["name"]: change["new"]})

    @contextmanager
    def _silence(self) -> Iterator[None]:
        """Set traits without a search for each of them; who observes them is told when all are set."""
        before, self._quiet = self._quiet, True
        try:
            with self.hold_trait_notifications():
                yield
        finally:
            self._quiet = before

    @contextmanager
    def _shown_errors(self) -> Iterator[None]:
        """Show what goes wrong, and raise it."""
        try:
            yield
        except RagvecError as error:
            self._show(error=str(error))
            raise
        except Exception as error:
            self._show(error=f"{type(error).__name__}: {error}")
            raise

    # -- what the front end says -----------------------------------------------------------------------------------

    def _on_message(self, _: Any, content: Any, __: Any) -> None:
        """Do what a message of the front end asks. What it asks wrongly is shown there, as everything is."""
        try:
            message = msgspec.convert(content, _Message)
            actions: dict[str, Callable[[_Message], object]] = {
                "search": self._do_search,
                "suggest": lambda m: self.send({"suggestions": list(self.suggest(m.text)), "for": m.text}),
                "choose": self._do_choose,
                "add": lambda m: self.add_condition(m.field, m.operator, m.text),
                "remove": lambda m: self.remove_condition(m.at),
                "clear": lambda _: self.clear(),
                "page": lambda m: self.search(page=m.at),
                "judge": lambda m: self.judge(self._result(m.kind, m.at).document_id, m.relevant),
                "open": lambda m: self.open_source(m.kind, m.at, whole=m.whole),
                "close": lambda _: self.close_source(),
            }
            if message.do not in actions:
                raise InvalidRequest(f"Expected one of {', '.join(actions)}, got {message.do!r}", path="do")
            actions[message.do](message)
        except (RagvecError, msgspec.ValidationError, traitlets.TraitError) as error:
            if not self.error:
                self._show(error=str(error))

    def _do_search(self, message: _Message) -> None:
        user = message.user.strip() or None
        groups = tuple(name.strip() for name in message.groups.split(",") if name.strip()) or None
        self.search(message.text, mode=message.mode, sort=message.sort, user=user, groups=groups)

    def _do_choose(self, message: _Message) -> None:
        counts = self.found.facets.get(message.field, ()) if self.found is not None else ()
        values = [count.value for count in counts]
        values += [value for value in self.chosen.get(message.field, ()) if value not in values]
        if not 0 <= message.at < len(values):
            raise InvalidRequest(f"Expected a value that is shown, got {message.field!r} {message.at}", path="at")
        self.choose(message.field, values[message.at])


class _Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the front end sends."""

    do: str
    text: str = ""
    mode: str = "query"
    sort: str = ""
    user: str = ""
    groups: str = ""
    field: str = ""
    operator: str = ""
    kind: str = ""
    at: int = 0
    relevant: bool | None = None
    whole: bool = False
