"""Readers that are models: a cross-encoder over sentences, and a model of extractive question answering.

Both take the name of a model on the Hub or a folder that holds one; a folder needs no network. Nothing is loaded before
the first question.
"""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ragvec.errors import InvalidRequest, ModelError
from ragvec.extras import require
from ragvec.kendra.answers.reader import Levels, ReadSpan
from ragvec.kendra.answers.units import units

__all__ = ["CrossEncoderReader", "QuestionAnsweringReader"]


class CrossEncoderReader:
    """Scores sentences, items and rows with a cross-encoder of sentence-transformers; the scores are in [0, 1].

    A model with one output gives a logit, of which the sigmoid is taken, or a probability where the model itself ends
    in a sigmoid. `passages` and `units` bound what is read for a question. `levels` are those of no model in
    particular: set them by questions of your own, with and without answers.

    Raises:
        InvalidRequest: `passages` or `units` below 1.
        On the first question, MissingExtra: sentence-transformers is not installed; ModelError: there is no such model,
        or it gives several scores for a pair.
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        levels: Levels | None = None,
        passages: int = 10,
        units: int = 40,
        device: str | None = None,
    ) -> None:
        _positive(passages=passages, units=units)
        self.model = str(model)
        self.levels = levels or Levels(least=0.5, high=0.8, very_high=0.95)
        self._passages, self._units, self._device = passages, units, device
        self._lock = threading.Lock()
        self._loaded: Any = None

    def __repr__(self) -> str:
        return f"CrossEncoderReader({self.model!r})"

    def read(self, question: str, passages: Sequence[str]) -> list[ReadSpan]:
        """The first units of the passages with their scores."""
        places = [
            (number, unit.begin, unit.end)
            for number, text in enumerate(passages[: self._passages])
            for unit in units(text)
            if unit.kind != "heading"
        ][: self._units]
        if not places or not question.strip():
            return []
        pairs = [(question, passages[number][begin:end]) for number, begin, end in places]
        scores = np.asarray(self._predict(pairs), dtype=np.float64)
        if scores.shape != (len(pairs),):
            raise ModelError(
                f"Expected a cross-encoder with one score for a pair, got {scores.shape[1:]} from {self.model!r}"
            )
        return [ReadSpan(*place, float(score)) for place, score in zip(places, scores, strict=True)]

    def _predict(self, pairs: Sequence[tuple[str, str]]) -> Any:
        with self._lock:
            if self._loaded is None:
                library = require(
                    "sentence_transformers",
                    extra="embed",
                    purpose="Reading answers with a cross-encoder",
                    package="sentence-transformers",
                )
                self._loaded = _load(lambda: library.CrossEncoder(self.model, device=self._device), self.model)
        torch = importlib.import_module("torch")
        return self._loaded.predict(pairs, activation_fn=torch.nn.Sigmoid(), show_progress_bar=False)


class QuestionAnsweringReader:
    """Reads spans with an extractive model of the transformers library, such as those trained on SQuAD 2.0.

    A span's score is the sigmoid of start logit + end logit − those of the model's place for "no answer" (its first
    token), so 0.5 is where the model itself would rather not answer. `passages` bounds what is read for a question,
    `longest` a span, in tokens of the model. A passage longer than the model reads is read in windows of half overlap.

    Raises:
        InvalidRequest: `passages` or `longest` below 1.
        On the first question, MissingExtra: transformers is not installed; ModelError: there is no such model, or its
        tokenizer does not tell where its tokens stand.
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        levels: Levels | None = None,
        passages: int = 10,
        longest: int = 30,
        device: str | None = None,
    ) -> None:
        _positive(passages=passages, longest=longest)
        self.model = str(model)
        self.levels = levels or Levels(least=0.5, high=0.9, very_high=0.99)
        self._passages, self._longest, self._device = passages, longest, device
        self._lock = threading.Lock()
        self._loaded: tuple[Any, Any] | None = None

    def __repr__(self) -> str:
        return f"QuestionAnsweringReader({self.model!r})"

    def read(self, question: str, passages: Sequence[str]) -> list[ReadSpan]:
        """The best span of each of the first passages that has one, with its score."""
        if not question.strip():
            return []
        best: list[ReadSpan] = []
        for number, text in enumerate(passages[: self._passages]):
            spans = list(self._spans(question, number, text)) if text.strip() else []
            if spans:
                best.append(max(spans, key=lambda span: (span.score, -span.begin, -span.end)))
        return best

    def _spans(self, question: str, number: int, text: str) -> Iterator[ReadSpan]:
        tokenizer, model = self._ready()
        torch = importlib.import_module("torch")
        most = min(int(tokenizer.model_max_length), int(getattr(model.config, "max_position_embeddings", 512)), 512)
        asked = len(tokenizer(question, truncation=True, max_length=most // 2)["input_ids"])
        question_text = (
            question
            if asked < most // 2
            else tokenizer.decode(
                tokenizer(question, truncation=True, max_length=most // 2)["input_ids"], skip_special_tokens=True
            )
        )
        encoded = tokenizer(
            question_text,
            text,
            truncation="only_second",
            max_length=most,
            stride=max(1, (most - asked) // 4),
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            padding=True,
            return_tensors="pt",
        )
        offsets = encoded.pop("offset_mapping").numpy()
        encoded.pop("overflow_to_sample_mapping", None)
        sequences = [encoded.sequence_ids(window) for window in range(len(offsets))]
        with torch.no_grad():
            output = model(**{name: values.to(model.device) for name, values in encoded.items()})
        starts, ends = output.start_logits.cpu().numpy(), output.end_logits.cpu().numpy()
        for window, sequence in enumerate(sequences):
            inside = np.array([part == 1 for part in sequence])
            span = _best_span(starts[window], ends[window], inside, longest=self._longest)
            if span is not None:
                first, last, margin = span
                begin, end = int(offsets[window][first][0]), int(offsets[window][last][1])
                if begin < end:
                    yield ReadSpan(number, begin, end, float(1 / (1 + np.exp(-np.clip(margin, -60, 60)))))

    def _ready(self) -> tuple[Any, Any]:
        with self._lock:
            if self._loaded is None:
                library = require(
                    "transformers",
                    extra="embed",
                    purpose="Reading answers with a model of question answering",
                    package="sentence-transformers",
                )
                tokenizer = _load(lambda: library.AutoTokenizer.from_pretrained(self.model), self.model)
                if not tokenizer.is_fast:
                    raise ModelError(f"Expected a fast tokenizer, which tells the places of tokens, in {self.model!r}")
                model = _load(lambda: library.AutoModelForQuestionAnswering.from_pretrained(self.model), self.model)
                self._loaded = tokenizer, model.eval().to(self._device or "cpu")
            return self._loaded


def _best_span(
    starts: npt.NDArray[Any], ends: npt.NDArray[Any], inside: npt.NDArray[np.bool_], *, longest: int
) -> tuple[int, int, float] | None:
    """(first token, last token, margin over no answer) of the best span within the text; None where there is none."""
    tokens = np.flatnonzero(inside)
    if not len(tokens):
        return None
    sums = starts[tokens][:, None].astype(np.float64) + ends[tokens][None, :]
    distance = np.arange(len(tokens))[None, :] - np.arange(len(tokens))[:, None]
    sums[(distance < 0) | (distance >= longest)] = -np.inf
    first, last = divmod(int(np.argmax(sums)), len(tokens))
    return int(tokens[first]), int(tokens[last]), float(sums[first, last] - starts[0] - ends[0])


def _load(load: Any, model: str) -> Any:
    try:
        return load()
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise ModelError(
            f"Expected a model that reads answers, got {model!r}, which cannot be loaded: {error}. Give a folder that "
            "holds one, or a name on the Hub that this machine can reach"
        ) from error


def _positive(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise InvalidRequest(f"Expected a number from 1, got {number!r} - at `{name}`", path=name)
