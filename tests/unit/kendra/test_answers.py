"""Answers: exact spans, one for each document, silence where nothing is sure, and the seam for other readers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kendra_corpus import BagOfStems

from ragvec.errors import InvalidRequest
from ragvec.kendra.answers.choice import LONGEST, most_trust
from ragvec.kendra.answers.evidence import Evidence
from ragvec.kendra.answers.find import find_answers
from ragvec.kendra.answers.question import asked
from ragvec.kendra.answers.reader import Levels, Reader, ReadSpan
from ragvec.kendra.answers.sentences import UNITS, SentenceReader, forget
from ragvec.kendra.answers.weights import WEIGHTS
from ragvec.kendra.found import Answer, Found

FERRIES = (
    (
        "bikes",
        "Bicycles",
        "Bicycles travel free of charge. The rack of a ferry holds 12 bicycles. It cannot be booked.",
    ),
    ("dogs", "Animals", "Dogs need a lead. They travel on the upper deck. Cats stay in a box."),
    ("fares", "Fares", "A day ticket costs 9 pounds. Children below six pay nothing."),
)
SURE = Levels(least=0.0, high=0.5, very_high=0.9)


def passage(document: str, text: str, *, title: str = "", number: int = 0, similarity: float = 0.6) -> Found:
    metadata = {"_document_id": document, "_text": text, **({"_document_title": title} if title else {})}
    return Found(f"{document}#{number}", document, metadata, similarity, similarity, 1.0)


def ferries() -> list[Found]:
    return [passage(document, text, title=title) for document, title, text in FERRIES]


class Fixed:
    """A reader that gives what it was given."""

    levels = Levels(least=0.5, high=0.7, very_high=0.9)

    def __init__(self, *spans: ReadSpan) -> None:
        self.spans = list(spans)
        self.asked: list[tuple[str, list[str]]] = []

    def read(self, question: str, passages: Sequence[str]) -> list[ReadSpan]:
        self.asked.append((question, list(passages)))
        return self.spans


class Everything(SentenceReader):
    """The shipped reader, of which every answer is taken."""

    def __init__(self) -> None:
        super().__init__(BagOfStems(), levels=SURE)

    def read(self, question: str, passages: Sequence[str]) -> list[ReadSpan]:
        return self.read_found(question, [passage(f"d{n}", text) for n, text in enumerate(passages)])


def text_of(answer: Answer) -> str:
    return str(answer.passage.metadata["_text"][answer.begin : answer.end])


def test_the_sentence_that_answers_is_chosen() -> None:
    [first, *_] = find_answers(
        "How many bicycles does a ferry hold?", ferries(), embed=BagOfStems(), reader=Everything()
    )
    assert "The rack of a ferry holds 12 bicycles." in text_of(first)


def test_answers_are_the_surest_first_and_no_more_than_asked_for() -> None:
    answers = find_answers("What do dogs and bicycles cost?", ferries(), embed=BagOfStems(), reader=Everything())
    assert [answer.score for answer in answers] == sorted((answer.score for answer in answers), reverse=True)
    assert len(answers) == 3
    for most in (0, 1, 2):
        some = find_answers(
            "What do dogs and bicycles cost?", ferries(), embed=BagOfStems(), reader=Everything(), most=most
        )
        assert [text_of(answer) for answer in some] == [text_of(answer) for answer in answers[:most]]


def test_a_document_answers_once_by_its_best_passage() -> None:
    passages = [passage("a", "Nothing here.", number=0), passage("a", "Ferries hold 12 bicycles.", number=1)]
    reader = Fixed(ReadSpan(0, 0, 7, 0.6), ReadSpan(1, 0, 7, 0.8), ReadSpan(1, 8, 12, 0.7))
    [answer] = find_answers("bicycles", passages, embed=BagOfStems(), reader=reader)
    assert (answer.passage.key, answer.begin, answer.end, answer.score) == ("a#1", 0, 7, 0.8)


@pytest.mark.parametrize(
    ("score", "confidence"), [(0.95, "VERY_HIGH"), (0.9, "VERY_HIGH"), (0.89, "HIGH"), (0.7, "HIGH"), (0.5, "MEDIUM")]
)
def test_levels_make_the_confidence(score: float, confidence: str) -> None:
    reader = Fixed(ReadSpan(0, 0, 3, score))
    [answer] = find_answers("bicycles", ferries(), embed=BagOfStems(), reader=reader)
    assert answer.confidence == confidence


def test_below_the_least_level_there_is_no_answer() -> None:
    reader = Fixed(ReadSpan(0, 0, 3, 0.49))
    assert find_answers("bicycles", ferries(), embed=BagOfStems(), reader=reader) == []


def test_questions_about_something_else_have_no_answer() -> None:
    passages = [passage(document, text, title=title, similarity=0.21) for document, title, text in FERRIES]
    for question in ("Who painted the Mona Lisa?", "When was the treaty of Utrecht signed?", "How do volcanoes erupt?"):
        assert find_answers(question, passages, embed=BagOfStems()) == []


@pytest.mark.parametrize("question", ["", "   ", "\n\t"])
def test_no_question_has_no_answer_and_asks_no_reader(question: str) -> None:
    reader = Fixed()
    assert find_answers(question, ferries(), embed=BagOfStems(), reader=reader) == []
    assert reader.asked == []


def test_passages_without_text_are_not_read() -> None:
    reader = Fixed(ReadSpan(0, 0, 4, 0.9))
    gone = Found("x#0", "x", {"_document_id": "x"}, 0.5)
    passages = [gone, passage("blank", " \n "), passage("dogs", "Dogs need a lead.")]
    [answer] = find_answers("dogs", passages, embed=BagOfStems(), reader=reader)
    assert answer.passage.key == "dogs#0"
    assert reader.asked == [("dogs", ["Dogs need a lead."])]
    assert find_answers("dogs", passages[:2], embed=BagOfStems()) == []
    assert find_answers("dogs", [], embed=BagOfStems()) == []


@pytest.mark.parametrize(
    "span",
    [
        ReadSpan(0, 5, 5, 0.9),
        ReadSpan(0, -1, 4, 0.9),
        ReadSpan(0, 0, 10_000, 0.9),
        ReadSpan(3, 0, 1, 0.9),
        ReadSpan(-1, 0, 1, 0.9),
        ReadSpan(0, 0, 1, float("nan")),
    ],
    ids=["empty", "negative", "beyond", "no such passage", "negative passage", "no number"],
)
def test_a_reader_that_points_nowhere_is_refused(span: ReadSpan) -> None:
    with pytest.raises(InvalidRequest, match="Expected spans inside the passages with a number as score, got ReadSpan"):
        find_answers("dogs", ferries(), embed=BagOfStems(), reader=Fixed(span))


def test_the_same_question_has_the_same_answers() -> None:
    answers = [
        find_answers("Where do dogs travel?", ferries(), embed=BagOfStems(), reader=Everything()) for _ in range(2)
    ]
    assert [(a.passage.key, a.begin, a.end, a.score) for a in answers[0]] == [
        (a.passage.key, a.begin, a.end, a.score) for a in answers[1]
    ]


def test_ties_are_in_order_of_the_passages() -> None:
    passages = [passage("b", "Dogs need a lead."), passage("a", "Dogs need a lead.")]
    reader = Fixed(ReadSpan(1, 0, 4, 0.8), ReadSpan(0, 0, 4, 0.8))
    answers = find_answers("dogs", passages, embed=BagOfStems(), reader=reader)
    assert [answer.passage.key for answer in answers] == ["b#0", "a#0"]


def test_a_known_vector_of_the_question_changes_nothing() -> None:
    embed = BagOfStems()
    question = "Where do dogs travel?"
    vector = embed.embed_query(question)
    reader = SentenceReader(embed, levels=SURE)
    assert reader.read_found(question, ferries(), vector=vector) == reader.read_found(question, ferries())


def test_readers_are_known_by_what_they_do() -> None:
    assert isinstance(Fixed(), Reader)
    assert not isinstance(object(), Reader)


class Counting(BagOfStems):
    """Counts the texts that are embedded."""

    name = "counting-bag-of-stems"

    def __init__(self) -> None:
        self.texts = 0

    def embed_documents(self, texts: Sequence[str]) -> Any:
        self.texts += len(texts)
        return super().embed_documents(texts)


def test_nothing_is_embedded_where_no_answer_could_be_sure() -> None:
    embed = Counting()
    passages = [passage(document, text, similarity=0.2) for document, _, text in FERRIES]
    assert find_answers("Do dogs travel?", passages, embed=embed) == []
    assert embed.texts == 0


def test_what_was_embedded_for_a_question_is_not_embedded_again() -> None:
    forget()
    embed = Counting()
    reader = SentenceReader(embed, levels=SURE)
    first = reader.read_found("Do dogs travel?", ferries())
    once = embed.texts
    assert 0 < once <= UNITS
    assert reader.read_found("Do dogs travel?", ferries()) == first
    assert embed.texts == once


@given(
    similarities=st.lists(st.floats(-1, 1), min_size=1, max_size=6),
    question=st.sampled_from(["dogs", "A fare?", "xyz"]),
)
def test_no_score_is_above_what_is_told_beforehand(similarities: list[float], question: str) -> None:
    passages = [passage(f"d{n}", FERRIES[n % 3][2], similarity=similarity) for n, similarity in enumerate(similarities)]
    most = most_trust(Evidence(asked(question), passages), WEIGHTS)
    for span in SentenceReader(BagOfStems(), levels=SURE).read_found(question, passages):
        assert span.score <= most + 1e-9


_TEXTS = st.one_of(
    st.text(max_size=200),
    st.sampled_from(
        ["word " * 3_000, "x" * 20_000, ". " * 5_000, "a: b; c: d\n" * 300, "日本語。" * 500, "\u0301" * 300]
    ),
)


@settings(deadline=None, max_examples=60)
@given(question=_TEXTS, texts=st.lists(_TEXTS, max_size=4))
def test_any_text_is_read_and_spans_are_parts_of_it(question: str, texts: list[str]) -> None:
    answers = find_answers(
        question, [passage(f"d{n}", text) for n, text in enumerate(texts)], embed=BagOfStems(), reader=Everything()
    )
    assert len({answer.passage.document_id for answer in answers}) == len(answers) <= 3
    for answer in answers:
        text = text_of(answer)
        assert 0 <= answer.begin < answer.end <= len(answer.passage.metadata["_text"])
        assert text == text.strip()
        assert len(text) <= max(LONGEST, 400)
        assert 0 <= answer.score <= 1


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("Do dogs travel free", True),
        ("and can I take a bicycle", True),
        ("tell me when the ferry leaves", True),
        ("bicycles, ferry?", True),
        ("dogs on ferries", False),
        ("Every dog can travel on the ferry.", False),
        ("", False),
    ],
)
def test_only_a_text_in_the_form_of_a_question_is_answered(text: str, *, asks: bool) -> None:
    assert asked(text).asks is asks
    if not asks:
        embedded: list[str] = []

        class Embedding(BagOfStems):
            def embed_documents(self, texts: Sequence[str]) -> Any:
                embedded.extend(texts)
                return super().embed_documents(texts)

        assert SentenceReader(Embedding(), levels=SURE).read_found(text, ferries()) == []
        assert embedded == []
