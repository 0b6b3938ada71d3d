"""`EvaluationWidget`: configurations of an experiment compared, down to single queries."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import ipywidgets

from ragvec.errors import InvalidRequest, RagvecError
from ragvec.evaluation.experiment_report import ExperimentReport, Outcome
from ragvec.kendra.index import QueryIndex
from ragvec.widgets.tables import html_error, html_said, html_table

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["EvaluationWidget"]

_ANSWERS = 10
_SAID = 70


class EvaluationWidget(ipywidgets.VBox):  # type: ignore[misc]
    """The configurations of a report beside a baseline, and every query with their answers side by side.

    `query`, `measure`, `order` and `baseline` are the choosers, each with a `value`. With a `query_index` over the
    same documents, a relevant document can be asked why it ranks where it does, or was not found. `most` answers of
    each configuration are shown.

    Raises:
        InvalidRequest: `report` is no ExperimentReport, `query_index` no QueryIndex.
    """

    def __init__(
        self, report: ExperimentReport, *, query_index: QueryIndex | None = None, most: int = _ANSWERS
    ) -> None:
        if not isinstance(report, ExperimentReport):
            raise InvalidRequest(f"Expected an ExperimentReport, got {type(report).__name__}", path="report")
        if query_index is not None and not isinstance(query_index, QueryIndex):
            raise InvalidRequest(f"Expected a QueryIndex, got {type(query_index).__name__}", path="query_index")
        self.report, self.query_index, self.most = report, query_index, most
        names = [outcome.name for outcome in report.outcomes]
        self.measure = ipywidgets.Dropdown(description="Measure", options=report.measures)
        self.baseline = ipywidgets.Dropdown(description="Baseline", options=names, value=report.best().name)
        self.table = ipywidgets.HTML()
        self.order = ipywidgets.Dropdown(description="Queries by", options=list(_ORDERS), layout={"width": "24em"})
        self.query = ipywidgets.Select(description="Query", rows=8, layout={"width": "48em"})
        self.answers = ipywidgets.HTML()
        self.document = ipywidgets.Dropdown(description="Document", layout={"width": "32em"})
        self.explain = ipywidgets.Button(
            description="Explain", tooltip="Why this document ranks where it does for the query", disabled=True
        )
        self.reasons = ipywidgets.HTML()
        why = [ipywidgets.HBox([self.document, self.explain]), self.reasons] if query_index is not None else []
        super().__init__(
            [
                ipywidgets.HBox([self.measure, self.baseline]),
                self.table,
                self.order,
                ipywidgets.HTML(html_said(f"Before each query its values: {', '.join(names)}")),
                self.query,
                self.answers,
                *why,
            ]
        )
        for chooser in (self.measure, self.baseline):
            chooser.observe(lambda _: self._compare(), "value")
        for chooser in (self.measure, self.order):
            chooser.observe(lambda _: self._list(), "value")
        self.query.observe(lambda _: self._drill(), "value")
        self.explain.on_click(lambda _: self._explain())
        self._compare()
        self._list()

    def __repr__(self) -> str:
        return f"EvaluationWidget({self.report!r})"

    def _compare(self) -> None:
        """The table of configurations, best first, each beside the baseline."""
        measure, baseline = self.measure.value, self.baseline.value
        beside = {}
        if len(self.report.outcomes) > 1:
            beside = {each.system: each for each in self.report.compare(measure, baseline=baseline)}
        rows = []
        for outcome in sorted(self.report.outcomes, key=lambda outcome: -outcome.scores.means[measure]):
            row = [outcome.name, *(f"{value:.4f}" for value in outcome.scores.means.values())]
            if outcome.name in beside:
                each = beside[outcome.name]
                sure = "surely" if each.significant() else "perhaps by chance"
                row += [
                    f"{each.difference:+.4f} ({each.low:+.4f} to {each.high:+.4f})",
                    f"{each.wins} / {each.ties} / {each.losses}",
                    f"{'< 0.001' if each.p < 0.001 else f'{each.p:.3f}'}, {sure}",
                ]
            else:
                row += ["the baseline", "", ""]
            rows.append([*row, f"{outcome.median_milliseconds:.1f}"])
        means = self.report.measures
        columns = ["configuration", *means, f"{measure} beside it", "better / equal / worse", "p", "ms a query"]
        self.table.value = html_table(
            columns, rows, right=(*means, "ms a query"), caption=f"{self.report.collection}: configurations"
        )

    def _list(self) -> None:
        """The queries in the order wanted, the chosen one still chosen."""
        measure, before = self.measure.value, self.query.value
        values = {
            query: [outcome.scores.per_query[query][measure] for outcome in self.report.outcomes]
            for query in self.report.qrels
        }
        ordered = _ORDERS[self.order.value](values)
        self.query.options = [(self._said(query, values[query]), query) for query in ordered]
        self.query.value = before if before in values else next(iter(ordered), None)
        self._drill()

    def _said(self, query: str, values: Sequence[float]) -> str:
        text = " ".join(self.report.queries.get(query, query).split())
        return f"{' '.join(f'{value:.2f}' for value in values)}  {_cut(text)}"

    def _drill(self) -> None:
        """The answers of every configuration to the query, side by side."""
        query = self.query.value
        self.reasons.value = ""
        if query is None:
            self.answers.value = html_said("No query was judged.")
            return
        relevant = {document for document, grade in self.report.qrels[query].items() if grade > 0}
        text = self.report.queries.get(query, "")
        beside = "".join(self._column(outcome, query, relevant) for outcome in self.report.outcomes)
        self.answers.value = (
            f'<div dir="auto" style="line-height:1.4"><b>{html.escape(text)}</b> <small>({html.escape(query)})</small>'
            f"</div>{self._missed(query, relevant)}"
            f'<div style="display:flex;flex-wrap:wrap;gap:0 2em;align-items:flex-start">{beside}</div>'
        )
        places = {document: self._places(document, query) for document in sorted(relevant)}
        self.document.options = [(f"{document} ({places[document]})", document) for document in places]
        self.document.value = next(iter(places), None)
        self.explain.disabled = self.query_index is None or not places

    def _column(self, outcome: Outcome, query: str, relevant: set[str]) -> str:
        rows = []
        for rank, (document, score) in enumerate(outcome.run.get(query, ())[: self.most], start=1):
            rows.append((rank, "✓ relevant" if document in relevant else "", document, f"{score:.4g}"))
        value = outcome.scores.per_query[query][self.measure.value]
        caption = f"{outcome.name}: {self.measure.value} {value:.4f}"
        return html_table(("rank", "judged", "document", "score"), rows, right=("rank", "score"), caption=caption)

    def _missed(self, query: str, relevant: set[str]) -> str:
        """The relevant documents, and at which rank each configuration has them."""
        rows = []
        for document in sorted(relevant):
            ranks = [_rank(outcome, query, document) for outcome in self.report.outcomes]
            grade = self.report.qrels[query][document]
            rows.append((document, grade, *("missed" if rank is None else rank for rank in ranks)))
        names = [outcome.name for outcome in self.report.outcomes]
        columns = ["relevant document", "grade", *names]
        return html_table(columns, rows, right=columns[1:], caption="Where the relevant documents are")

    def _places(self, document: str, query: str) -> str:
        missed = [outcome.name for outcome in self.report.outcomes if _rank(outcome, query, document) is None]
        return f"missed by {', '.join(missed)}" if missed else "found by all"

    def _explain(self) -> None:
        query, document = self.query.value, self.document.value
        if self.query_index is None or query is None or document is None:
            return
        try:
            said = self.query_index.explain(self.report.queries.get(query, ""), document, syntax=False)
        except RagvecError as error:
            self.reasons.value = html_error(str(error))
            return
        self.reasons.value = said._repr_html_()


def _rank(outcome: Outcome, query: str, document: str) -> int | None:
    ids = [answer for answer, _ in outcome.run.get(query, ())]
    return ids.index(document) + 1 if document in ids else None


def _cut(text: str) -> str:
    return text if len(text) <= _SAID else text[: _SAID - 1] + "…"


_Order = Callable[[Mapping[str, "list[float]"]], "list[str]"]

_ORDERS: dict[str, _Order] = {
    "most disagreement": lambda values: sorted(values, key=lambda query: min(values[query]) - max(values[query])),
    "worst answered": lambda values: sorted(values, key=lambda query: sum(values[query])),
    "best answered": lambda values: sorted(values, key=lambda query: -sum(values[query])),
    "order of the collection": lambda values: list(values),
}
