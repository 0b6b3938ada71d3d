"""Measures that a language model judges, any chat model of LangChain: faithfulness, relevance, correctness.

The model is asked for numbered statements and verdicts in JSON, and the value is a share of verdicts, not a number that
the model makes up. What it answers in another form is asked once more, and then counted as not judged, by name.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable
from typing import Any

import msgspec

from ragvec.errors import InvalidRequest
from ragvec.evaluation.rag import RagSample

__all__ = ["Judgement", "Judgements", "judge"]

_JSON = re.compile(r"\{.*\}", re.DOTALL)
_ATTEMPTS = 2

_FORM = 'Reply with one JSON object and nothing else: {"verdicts": [{"statement": "…", "verdict": true or false}]}'
_PROMPTS = {
    "faithfulness": (
        "Break the ANSWER into short statements of fact. For each, say whether the CONTEXT alone supports it.\n"
        f"{_FORM}\n\nCONTEXT:\n{{contexts}}\n\nQUESTION:\n{{question}}\n\nANSWER:\n{{answer}}"
    ),
    "relevance": (
        "Break the ANSWER into short statements. For each, say whether it helps to answer the QUESTION; whether it is "
        f"true does not matter.\n{_FORM}\n\nQUESTION:\n{{question}}\n\nANSWER:\n{{answer}}"
    ),
    "correctness": (
        "Break the REFERENCE into short statements of fact. For each, say whether the ANSWER states it too, in "
        f"whatever words.\n{_FORM}\n\nQUESTION:\n{{question}}\n\nREFERENCE:\n{{reference}}\n\nANSWER:\n{{answer}}"
    ),
}


class Judgement(msgspec.Struct, frozen=True):
    """A statement, and whether it holds."""

    statement: str
    verdict: bool


class _Reply(msgspec.Struct, frozen=True):
    verdicts: list[Judgement]


class Judgements(msgspec.Struct, frozen=True, eq=False):
    """What the model judged: {measure: mean}, the value of each sample by measure (None: not judged), the verdicts
    themselves, and what went wrong, as (position of the sample, measure, reply)."""

    means: dict[str, float]
    per_sample: tuple[dict[str, float | None], ...]
    verdicts: tuple[dict[str, tuple[Judgement, ...]], ...]
    unjudged: tuple[tuple[int, str, str], ...] = ()

    def __repr__(self) -> str:
        means = ", ".join(f"{name} {value:.4f}" for name, value in self.means.items())
        return f"Judgements({means}; {len(self.per_sample)} samples, {len(self.unjudged)} replies of no use)"


def judge(
    samples: Iterable[RagSample], model: Any, *, measures: Iterable[str] = ("faithfulness", "relevance", "correctness")
) -> Judgements:
    """Have `model`, a chat model of LangChain or anything with `invoke(prompt)`, judge the samples.

    Each sample is judged by each measure that it has the parts for: an answer, and for correctness a reference.

    Raises:
        InvalidRequest: there is no such measure, or no samples. What the model raises is not caught.
    """
    wanted = list(measures)
    for name in wanted:
        if name not in _PROMPTS:
            raise InvalidRequest(f"Expected measures among {', '.join(_PROMPTS)}, got {name!r}", path="measures")
    per_sample: list[dict[str, float | None]] = []
    verdicts: list[dict[str, tuple[Judgement, ...]]] = []
    unjudged: list[tuple[int, str, str]] = []
    for at, sample in enumerate(samples):
        values: dict[str, float | None] = {}
        said: dict[str, tuple[Judgement, ...]] = {}
        for name in wanted:
            values[name] = None
            if sample.answer is None or (name == "correctness" and sample.reference is None):
                continue
            found, reply = _asked(model, _prompt(name, sample))
            if found is None:
                unjudged.append((at, name, reply))
                continue
            said[name] = tuple(found)
            values[name] = statistics.fmean(each.verdict for each in found) if found else 1.0
        per_sample.append(values)
        verdicts.append(said)
    if not per_sample:
        raise InvalidRequest("Expected samples, got none", path="samples")
    means = {}
    for name in wanted:
        known = [value for each in per_sample if (value := each[name]) is not None]
        if known:
            means[name] = statistics.fmean(known)
    return Judgements(means, tuple(per_sample), tuple(verdicts), tuple(unjudged))


def _prompt(name: str, sample: RagSample) -> str:
    # Not by str.format: texts may hold braces.
    parts = {
        "contexts": "\n\n".join(f"[{number}] {text}" for number, text in enumerate(sample.contexts, start=1)),
        "question": sample.question,
        "answer": sample.answer or "",
        "reference": sample.reference or "",
    }
    return re.sub(r"\{(contexts|question|answer|reference)\}", lambda found: parts[found[1]], _PROMPTS[name])


def _asked(model: Any, prompt: str) -> tuple[list[Judgement] | None, str]:
    text = ""
    for _ in range(_ATTEMPTS):
        reply = model.invoke(prompt)
        content = getattr(reply, "content", reply)
        text = content if isinstance(content, str) else _joined(content)
        found = _JSON.search(text)
        if found is not None:
            try:
                return msgspec.json.decode(found.group(), type=_Reply).verdicts, text
            except (msgspec.DecodeError, RecursionError):
                continue
    return None, text


def _joined(content: Any) -> str:
    """The text of a message whose content is a list of blocks."""
    if not isinstance(content, list):
        return str(content)
    return "".join(part if isinstance(part, str) else str(part.get("text", "")) for part in content)
