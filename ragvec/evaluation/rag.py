"""How good retrieved contexts and generated answers are, without a model that judges.

What counts as evidence are words of the documents, as `ragvec.evaluation.questions` has them. Texts are compared by
their words, case, accents, punctuation and articles left aside, as SQuAD's evaluation does (Rajpurkar et al. 2016,
https://arxiv.org/abs/1606.05250).
"""

from __future__ import annotations

import re
import statistics
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import msgspec

from ragvec.errors import InvalidRequest
from ragvec.extras import require
from ragvec.pipeline.sentences import sentence_starts
from ragvec.text.words import words

__all__ = [
    "RagSample",
    "RagScores",
    "answer_containment",
    "attribution",
    "context_precision",
    "context_recall",
    "evaluate_rag",
    "noise",
    "to_ragas",
    "token_f1",
]

_ARTICLES = frozenset({"a", "an", "the"})
_SUPPORTED = 0.6
"""The share of a sentence's words that one context must have for the sentence to count as taken from it."""


class RagSample(msgspec.Struct, frozen=True, kw_only=True):
    """A question with what was retrieved for it, best first, and what was answered.

    `reference` is a good answer, `evidence` the words of documents that it rests on; None and () where nobody knows.
    """

    question: str
    contexts: tuple[str, ...]
    answer: str | None = None
    reference: str | None = None
    evidence: tuple[str, ...] = ()
    id: str = ""


class RagScores(msgspec.Struct, frozen=True, eq=False):
    """The values of each sample, None where a sample has not what the measure looks at, and the means of the others."""

    means: dict[str, float]
    per_sample: tuple[dict[str, float | None], ...]
    counted: dict[str, int]

    def __repr__(self) -> str:
        means = ", ".join(f"{name} {value:.4f} of {self.counted[name]}" for name, value in self.means.items())
        return f"RagScores({means})"

    def to_pandas(self) -> Any:
        """A row a sample, a column a measure; NaN where there is no value. Raises MissingExtra."""
        pandas = require("pandas", extra="eval", purpose="A table of scores")
        return pandas.DataFrame(list(self.per_sample), dtype=float)


def context_recall(sample: RagSample) -> float | None:
    """The share of the evidence that stands, word for word, in one of the contexts; None without evidence."""
    if not sample.evidence:
        return None
    contexts = [_normal(context) for context in sample.contexts]
    return statistics.fmean(
        any(_contains(context, _normal(evidence)) for context in contexts) for evidence in sample.evidence
    )


def context_precision(sample: RagSample) -> float | None:
    """The average precision of the contexts, those with some of the evidence being the relevant ones: 1 where these
    come first, 0 where there is none; None without evidence."""
    if not sample.evidence:
        return None
    evidence = [_normal(text) for text in sample.evidence]
    hits = [any(_contains(_normal(context), text) for text in evidence) for context in sample.contexts]
    precisions = [sum(hits[:rank]) / rank for rank, hit in enumerate(hits, start=1) if hit]
    return statistics.fmean(precisions) if precisions else 0.0


def noise(sample: RagSample) -> float | None:
    """The share of the contexts that hold none of the evidence; None without evidence or contexts."""
    if not sample.evidence or not sample.contexts:
        return None
    evidence = [_normal(text) for text in sample.evidence]
    return statistics.fmean(
        not any(_contains(_normal(context), text) for text in evidence) for context in sample.contexts
    )


def answer_containment(sample: RagSample) -> float | None:
    """1 where the reference stands, word for word, in the answer, else 0; None without either."""
    if sample.answer is None or sample.reference is None:
        return None
    return float(_contains(_normal(sample.answer), _normal(sample.reference)))


def token_f1(sample: RagSample) -> float | None:
    """The harmonic mean of the shares of words that answer and reference have in common; None without either."""
    if sample.answer is None or sample.reference is None:
        return None
    got, wanted = Counter(_normal(sample.answer)), Counter(_normal(sample.reference))
    if not got or not wanted:
        return float(got == wanted)
    common = (got & wanted).total()
    return 2 * common / (got.total() + wanted.total())


def attribution(sample: RagSample) -> float | None:
    """The share of the answer's sentences most of whose words (stems, without stop words) stand in one context: what
    could have been taken from there. None without an answer."""
    if sample.answer is None:
        return None
    contexts = [_stems(context) for context in sample.contexts]
    found = []
    for sentence in _sentences(sample.answer):
        stems = _stems(sentence)
        if stems:
            found.append(any(len(stems & context) >= _SUPPORTED * len(stems) for context in contexts))
    return statistics.fmean(found) if found else 1.0


_MEASURES = {
    "context precision": context_precision,
    "context recall": context_recall,
    "noise": noise,
    "answer containment": answer_containment,
    "token F1": token_f1,
    "attribution": attribution,
}


def evaluate_rag(samples: Iterable[RagSample]) -> RagScores:
    """All measures of all samples; a mean is over the samples that have a value, and left out where none has one.

    Raises:
        InvalidRequest: there are no samples.
    """
    per_sample = tuple({name: measure(sample) for name, measure in _MEASURES.items()} for sample in samples)
    if not per_sample:
        raise InvalidRequest("Expected samples, got none", path="samples")
    values = {name: [value for each in per_sample if (value := each[name]) is not None] for name in _MEASURES}
    return RagScores(
        means={name: statistics.fmean(found) for name, found in values.items() if found},
        per_sample=per_sample,
        counted={name: len(found) for name, found in values.items()},
    )


def to_ragas(samples: Iterable[RagSample]) -> list[dict[str, Any]]:
    """The samples as `ragas.EvaluationDataset.from_list` takes them; what a sample has not is left out."""
    rows = []
    for sample in samples:
        row: dict[str, Any] = {"user_input": sample.question, "retrieved_contexts": list(sample.contexts)}
        if sample.answer is not None:
            row["response"] = sample.answer
        if sample.reference is not None:
            row["reference"] = sample.reference
        if sample.evidence:
            row["reference_contexts"] = list(sample.evidence)
        rows.append(row)
    return rows


def _normal(text: str) -> list[str]:
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(character for character in decomposed if not unicodedata.combining(character))
    return [word for word in re.findall(r"\w+", plain) if word not in _ARTICLES]


def _contains(inside: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether `wanted` stands in `inside`, word for word; nothing stands nowhere."""
    if not wanted:
        return False
    return f" {' '.join(wanted)} " in f" {' '.join(inside)} "


def _stems(text: str) -> set[str]:
    return {word.term for word in words(text) if word.term}


def _sentences(text: str) -> list[str]:
    starts = [*sentence_starts(text, 0, len(text)), len(text)]
    return [text[begin:end] for begin, end in pairwise(starts)]
