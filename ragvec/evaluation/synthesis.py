"""Questions made from documents, where nobody has written any: for a first look, and for noticing changes.

Made questions are easier than real ones, since their words are those of the documents: figures from them compare
configurations, and say little of what users will see. Every question tells by its `kind` how it was made:

    cloze      a sentence with a rare word left out, which the answer is
    heading    the heading that a passage stands under, and the title, as a question; the passage is the evidence
    llm        written for a passage by a language model that the caller gives
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np

from ragvec.api.arguments import at_least_one
from ragvec.errors import InvalidRequest
from ragvec.evaluation.collections import Collection
from ragvec.evaluation.questions import Evidence, Question
from ragvec.pipeline.chunk import Chunk, Chunker, StructureChunker
from ragvec.pipeline.documents import Document, Failure
from ragvec.pipeline.sentences import sentence_starts
from ragvec.text.words import words

__all__ = ["QuestionKind", "synthetic_collection", "synthetic_questions"]

QuestionKind: TypeAlias = Literal["cloze", "heading", "llm"]

_BLANK = "____"
_LEAST_WORDS, _MOST_WORDS = 8, 40
_LEAST_PASSAGE = 200
_NUMBER = re.compile(r"^\d+(?:\.\d+)*\.?\s+")
_JSON = re.compile(r"\{.*\}", re.DOTALL)
_PROMPT = (
    "Write one question that somebody could ask who does not know the PASSAGE, and that the PASSAGE answers. Do not "
    "speak of a passage or a text. Answer it in a few words, and copy the sentence of the PASSAGE that the answer "
    'rests on, letter by letter. Reply with one JSON object and nothing else: {"question": "…", "answer": "…", '
    '"evidence": "…"}\n\nTITLE: %s\n\nPASSAGE:\n%s'
)


class _Written(msgspec.Struct, frozen=True):
    question: str
    answer: str
    evidence: str


def synthetic_questions(
    documents: Iterable[Document | Failure],
    *,
    count: int = 100,
    kinds: Sequence[QuestionKind] = ("cloze", "heading"),
    model: Any = None,
    chunker: Chunker | None = None,
    seed: int = 0,
) -> list[Question]:
    """At most `count` questions on passages of `documents`, drawn by chance, the kinds taking turns; the same `seed`
    gives the same passages.

    For the kind "llm", `model` is a chat model of LangChain, or anything with `invoke(prompt)`; replies that are no
    question with evidence from the passage are left out. Documents that could not be read are passed over.

    Raises:
        InvalidRequest: there is no such kind, or "llm" without a model. What the model raises is not caught.
    """
    count = at_least_one(count, "count")
    unknown = sorted(set(kinds) - {"cloze", "heading", "llm"})
    if unknown or not kinds:
        raise InvalidRequest(f"Expected kinds among cloze, heading, llm, got {unknown or 'none'}", path="kinds")
    if "llm" in kinds and model is None:
        raise InvalidRequest("Expected a `model` for questions of the kind llm", path="model")
    read = [document for document in documents if isinstance(document, Document)]
    splitter = chunker or StructureChunker()
    places = [(document, chunk) for document in read for chunk in splitter.split(document)]
    rare = _rarities(read)
    generator = np.random.default_rng(seed)
    waiting = {kind: [places[at] for at in generator.permutation(len(places))] for kind in kinds}
    made: list[Question] = []
    while len(made) < count and any(waiting.values()):
        for kind in kinds:
            question = None
            while waiting[kind] and question is None:
                document, chunk = waiting[kind].pop()
                question = _question(kind, document, chunk, number=len(made) + 1, rare=rare, model=model)
            if question is not None and len(made) < count:
                made.append(question)
    return made


def synthetic_collection(collection: Collection, questions: Sequence[Question]) -> Collection:
    """The documents of a collection with these questions instead of its own, so named that nobody mistakes them."""
    return Collection(
        name=f"{collection.name} (synthetic questions)",
        documents=collection.documents,
        queries={question.id: question.question for question in questions},
        qrels={question.id: question.relevance for question in questions},
    )


def _question(
    kind: QuestionKind, document: Document, chunk: Chunk, *, number: int, rare: Counter[str], model: Any
) -> Question | None:
    written = {
        "cloze": lambda: _cloze(chunk, rare),
        "heading": lambda: _heading(document, chunk),
        "llm": lambda: _by_model(document, chunk, model),
    }[kind]()
    if written is None:
        return None
    return Question(
        id=f"{kind}-{number}",
        question=written.question,
        answer=written.answer,
        evidence=(Evidence(document.id, written.evidence),),
        relevance={document.id: 1},
        kind=kind,
    )


def _cloze(chunk: Chunk, rare: Counter[str]) -> _Written | None:
    """The sentence whose rarest word is the rarest, with that word left out."""
    best: tuple[int, str, int, int] | None = None
    for sentence in _sentences(chunk.text):
        found = [word for word in words(sentence) if word.term and word.end - word.begin > 2]
        if not _LEAST_WORDS <= sum(1 for _ in words(sentence)) <= _MOST_WORDS or len(found) < _LEAST_WORDS // 2:
            continue
        # A word that stands nowhere else would leave a question that only its own sentence can answer by chance.
        word = min(found, key=lambda word: (rare[word.term], word.begin))
        if best is None or rare[word.term] < best[0]:
            best = (rare[word.term], sentence, word.begin, word.end)
    if best is None:
        return None
    _, sentence, begin, end = best
    return _Written(f"{sentence[:begin]}{_BLANK}{sentence[end:]}", sentence[begin:end], sentence)


def _heading(document: Document, chunk: Chunk) -> _Written | None:
    last = _NUMBER.sub("", chunk.heading.rpartition(" > ")[2].strip())
    if not last or len(chunk.text) < _LEAST_PASSAGE or not any(word.term for word in words(last)):
        return None
    subject = f" ({document.title})" if document.title and document.title != last else ""
    first = next((each for each in _sentences(chunk.text) if len(each.split()) > _LEAST_WORDS // 2), chunk.text)
    return _Written(f"What about {last}{subject}?", first, first)


def _by_model(document: Document, chunk: Chunk, model: Any) -> _Written | None:
    reply = model.invoke(_PROMPT % (document.title or document.id, chunk.text))
    content = getattr(reply, "content", reply)
    found = _JSON.search(content if isinstance(content, str) else str(content))
    if found is None:
        return None
    try:
        written = msgspec.json.decode(found.group(), type=_Written)
    except (msgspec.DecodeError, RecursionError):
        return None
    supported = " ".join(written.evidence.split()) in " ".join(chunk.text.split())
    return written if supported and written.question.strip() and written.evidence.strip() else None


def _rarities(documents: Sequence[Document]) -> Counter[str]:
    """In how many documents each stem occurs."""
    return Counter(term for document in documents for term in {word.term for word in words(document.text) if word.term})


def _sentences(text: str) -> Iterator[str]:
    starts = [*sentence_starts(text, 0, len(text)), len(text)]
    for begin, end in pairwise(starts):
        sentence = text[begin:end].strip()
        if sentence and "\n" not in sentence:
            yield sentence
