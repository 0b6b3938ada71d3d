"""How good a ranking is, given graded judgements: nDCG, average precision, recall, reciprocal rank, precision.

The values are those of trec_eval (https://github.com/usnistgov/trec_eval) and the names those of ir-measures
(https://ir-measur.es), which calls it: `nDCG@10`, `R@100`, `RR`, `P@5`, and `R(rel=2)@10` where a document counts as
relevant from grade 2 on. Two things differ from trec_eval on purpose: documents of equal score keep the order in which
they were answered, because that is what a reader saw, and every judged query counts in the mean, unanswered ones with
zero.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, cast

import msgspec

from ragvec.errors import InvalidRequest
from ragvec.extras import require

__all__ = ["DEFAULT_MEASURES", "Measure", "MeasureName", "Qrels", "Run", "Scores", "evaluate"]

Qrels: TypeAlias = Mapping[str, Mapping[str, int]]
"""{query id: {document id: grade}}; grade 0 and documents not named are not relevant."""

Run: TypeAlias = Mapping[str, Sequence[tuple[str, float]]]
"""{query id: [(document id, score), …]}; a higher score is better."""

MeasureName: TypeAlias = Literal["nDCG", "AP", "R", "RR", "P", "Judged"]

_TEXT = re.compile(r"(?P<name>nDCG|AP|RR|R|P|Judged)(?:\(rel=(?P<relevant>\d+)\))?(?:@(?P<cutoff>\d+))?")
_FORMS = "nDCG@10, AP, AP@100, R@100, RR, RR@10, P@5, Judged@10, or with the least relevant grade, as R(rel=2)@10"


class Measure(msgspec.Struct, frozen=True):
    """A measure of one ranking, from 0 to 1, more is better; `Measure.parse(str(measure)) == measure`.

    `cutoff` is how many documents are looked at, None for all. `relevant` is the grade from which a document counts as
    relevant; nDCG looks at the grades themselves.

        nDCG@k  gain grade, discount log2(rank + 1), over the best sum any ranking of k could have (Järvelin and
                Kekäläinen 2002, https://doi.org/10.1145/582415.582418; linear gains, as trec_eval has them)
        AP@k    precision at the rank of each relevant document among the first k, 0 for those that are not there, over
                the number of relevant documents (Buckley and Voorhees 2000, https://doi.org/10.1145/345508.345543)
        R@k     share of the relevant documents that are among the first k
        RR@k    1 / rank of the first relevant document, 0 when there is none
        P@k     relevant documents among the first k, divided by k also when there are fewer answers
        Judged@k  share of the first k answers, or of all where there are fewer, that somebody has judged

    A query with no relevant document scores 0 in all of them but the last, and one without answers in that too.
    """

    name: MeasureName
    cutoff: int | None = None
    relevant: int = 1

    def __post_init__(self) -> None:
        if self.relevant < 1 or (self.cutoff is not None and self.cutoff < 1):
            raise InvalidRequest(f"Expected a cutoff and a grade of at least 1, got {self!s}")
        if self.name == "P" and self.cutoff is None:
            raise InvalidRequest("Expected a cutoff for precision, as in P@5, got none")
        if self.name in ("nDCG", "Judged") and self.relevant != 1:
            raise InvalidRequest(f"Expected {self.name} without a relevant grade, as it has none; got {self!s}")

    @classmethod
    def parse(cls, text: str) -> Measure:
        """The measure of this name, in the notation of ir-measures. Raises InvalidRequest for any other text."""
        match = _TEXT.fullmatch(text)
        if match is None:
            raise InvalidRequest(f"Expected a measure ({_FORMS}), got {text!r}")
        return cls(
            name=cast(MeasureName, match["name"]),
            cutoff=int(match["cutoff"]) if match["cutoff"] else None,
            relevant=int(match["relevant"] or 1),
        )

    def __str__(self) -> str:
        relevant = f"(rel={self.relevant})" if self.relevant != 1 else ""
        return f"{self.name}{relevant}" + (f"@{self.cutoff}" if self.cutoff is not None else "")

    def of(self, ranking: Sequence[str], grades: Mapping[str, int]) -> float:
        """The value for one query: `ranking` holds document ids, best first and each once; `grades` its judgements."""
        seen = [grades.get(document, 0) for document in ranking[: self.cutoff]]
        if self.name == "nDCG":
            best = _gain(sorted(grades.values(), reverse=True)[: self.cutoff])
            return _gain(seen) / best if best else 0.0
        if self.name == "Judged":
            shown = ranking[: self.cutoff]
            return sum(document in grades for document in shown) / len(shown) if shown else 0.0
        hits = [grade >= self.relevant for grade in seen]
        if self.name == "RR":
            return 1 / (hits.index(True) + 1) if any(hits) else 0.0
        among = self.cutoff if self.name == "P" else sum(grade >= self.relevant for grade in grades.values())
        if not among:
            return 0.0
        if self.name == "AP":
            ranks = [rank for rank, hit in enumerate(hits, start=1) if hit]
            return math.fsum(found / rank for found, rank in enumerate(ranks, start=1)) / among
        return sum(hits) / among


DEFAULT_MEASURES = (Measure("nDCG", 10), Measure("R", 10), Measure("RR"), Measure("P", 10))


class Scores(msgspec.Struct, frozen=True, eq=False):
    """What `evaluate` found.

    `means` is {measure: mean over the judged queries} and `per_query` {query id: {measure: value}}, in the order of the
    judgements. `unanswered` are judged queries without an answer, which count as zero in the means; `unjudged` are
    answered queries without judgements, which count nowhere.
    """

    means: dict[str, float]
    per_query: dict[str, dict[str, float]]
    unanswered: tuple[str, ...] = ()
    unjudged: tuple[str, ...] = ()

    def __repr__(self) -> str:
        means = ", ".join(f"{name} {value:.4f}" for name, value in self.means.items())
        return f"Scores({means}; {len(self.per_query)} queries, {len(self.unanswered)} unanswered)"

    def to_pandas(self) -> Any:
        """A DataFrame with a row a query, indexed by query id, and a column a measure. Needs pandas (ragvec[eval])."""
        pandas = require("pandas", extra="eval", purpose="A table of scores")
        return pandas.DataFrame.from_dict(self.per_query, orient="index", columns=list(self.means))


def evaluate(run: Run, qrels: Qrels, *, measures: Iterable[Measure | str] = DEFAULT_MEASURES) -> Scores:
    """The measures of each judged query and their means over all judged queries; neither argument is modified.

    Answers are ordered by score, highest first; equal scores keep the order given.

    Raises:
        InvalidRequest: there are no judgements or no measures, a query has a document twice, or a score is NaN.
    """
    wanted = [measure if isinstance(measure, Measure) else Measure.parse(measure) for measure in measures]
    if not qrels or not wanted:
        raise InvalidRequest(
            f"Expected judgements and measures, got {len(qrels)} judged queries, {len(wanted)} measures"
        )
    per_query = {}
    for query, grades in qrels.items():
        ranking = _ranking(query, run.get(query, ()))
        per_query[query] = {str(measure): measure.of(ranking, grades) for measure in wanted}
    names = next(iter(per_query.values()))
    return Scores(
        means={name: math.fsum(values[name] for values in per_query.values()) / len(per_query) for name in names},
        per_query=per_query,
        unanswered=tuple(query for query in qrels if not run.get(query)),
        unjudged=tuple(query for query in run if query not in qrels),
    )


def _gain(grades: Sequence[int]) -> float:
    return math.fsum(max(grade, 0) / math.log2(rank + 1) for rank, grade in enumerate(grades, start=1))


def _ranking(query: str, answers: Sequence[tuple[str, float]]) -> list[str]:
    ordered = sorted(answers, key=lambda answer: -answer[1])
    documents = [document for document, _ in ordered]
    if any(math.isnan(score) for _, score in answers):
        raise InvalidRequest(f"Expected numbers as scores, got NaN - at query {query!r}")
    if len(set(documents)) < len(documents):
        twice = next(document for document in documents if documents.count(document) > 1)
        raise InvalidRequest(f"Expected each document once, got {twice!r} twice - at query {query!r}")
    return documents
