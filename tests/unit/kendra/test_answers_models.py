"""Readers that are models, by folder: tiny ones with random weights, made here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kendra_corpus import BagOfStems

from ragvec.errors import InvalidRequest, ModelError
from ragvec.kendra.answers.find import find_answers
from ragvec.kendra.answers.models import CrossEncoderReader, QuestionAnsweringReader
from ragvec.kendra.answers.reader import Levels, Reader
from ragvec.kendra.found import Found

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("sentence_transformers")

PASSAGES = (
    "# Ferries\n\nThe rack of a ferry holds twelve bicycles. Dogs need a lead.",
    "A day ticket costs nine pounds.",
    "   ",
)
ALL = Levels(least=0.0, high=0.5, very_high=0.9)


def tokenizer(folder: Path) -> None:
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,?!"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    made = transformers.BertTokenizerFast(vocab={word: n for n, word in enumerate(words)}, model_max_length=64)
    made.save_pretrained(folder)


def config(**changes: int) -> transformers.BertConfig:
    return transformers.BertConfig(
        vocab_size=100,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=64,
        **changes,
    )


@pytest.fixture(scope="module")
def qa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("qa")
    tokenizer(folder)
    torch.manual_seed(7)
    transformers.BertForQuestionAnswering(config()).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def cross_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cross")
    tokenizer(folder)
    torch.manual_seed(7)
    transformers.BertForSequenceClassification(config(num_labels=1)).save_pretrained(folder)
    return folder


def test_a_cross_encoder_scores_the_units_of_the_passages(cross_encoder: Path) -> None:
    reader = CrossEncoderReader(cross_encoder)
    spans = reader.read("how many bicycles?", PASSAGES)
    texts = [PASSAGES[span.passage][span.begin : span.end] for span in spans]
    assert texts == [
        "The rack of a ferry holds twelve bicycles.",
        "Dogs need a lead.",
        "A day ticket costs nine pounds.",
    ]
    assert all(0 <= span.score <= 1 for span in spans)
    assert len({span.score for span in spans}) == 3
    assert reader.read("how many bicycles?", PASSAGES) == spans


def test_a_cross_encoder_reads_no_more_than_it_may(cross_encoder: Path) -> None:
    assert len(CrossEncoderReader(cross_encoder, units=2).read("bicycles", PASSAGES)) == 2
    assert {span.passage for span in CrossEncoderReader(cross_encoder, passages=1).read("bicycles", PASSAGES)} == {0}
    assert CrossEncoderReader(cross_encoder).read("  ", PASSAGES) == []
    assert CrossEncoderReader(cross_encoder).read("bicycles", []) == []


def test_a_cross_encoder_of_several_labels_is_refused(tmp_path: Path) -> None:
    tokenizer(tmp_path)
    transformers.BertForSequenceClassification(config(num_labels=3)).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"Expected a cross-encoder with one score for a pair, got \(3,\)"):
        CrossEncoderReader(tmp_path).read("bicycles", PASSAGES)


def test_a_question_answering_model_gives_the_best_span_of_a_passage(qa: Path) -> None:
    reader = QuestionAnsweringReader(qa, longest=5)
    spans = reader.read("how many bicycles?", PASSAGES)
    assert [span.passage for span in spans] == [0, 1]
    for span in spans:
        assert 0 <= span.begin < span.end <= len(PASSAGES[span.passage])
        assert 0 <= span.score <= 1
    assert reader.read("how many bicycles?", PASSAGES) == spans


def test_the_best_span_is_that_of_the_logits(qa: Path) -> None:
    question, text = "dogs?", "dogs need a lead"
    [span] = QuestionAnsweringReader(qa, longest=4).read(question, [text])
    loaded = transformers.AutoTokenizer.from_pretrained(qa)
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(qa).eval()
    encoded = loaded(question, text, return_tensors="pt", return_offsets_mapping=True)
    offsets = encoded.pop("offset_mapping")[0].tolist()
    inside = [n for n, part in enumerate(encoded.sequence_ids(0)) if part == 1]
    with torch.no_grad():
        output = model(**encoded)
    starts, ends = output.start_logits[0].tolist(), output.end_logits[0].tolist()
    best, first, last = max(
        (starts[first] + ends[last], first, last) for first in inside for last in inside if 0 <= last - first < 4
    )
    assert (span.begin, span.end) == (offsets[first][0], offsets[last][1])
    expected = 1 / (1 + 2.718281828459045 ** -(best - starts[0] - ends[0]))
    assert span.score == pytest.approx(expected, abs=1e-5)


def test_long_passages_and_long_questions_are_read_in_windows(qa: Path) -> None:
    text = "dogs need a lead. " * 40 + "cats stay in a box."
    reader = QuestionAnsweringReader(qa)
    [span] = reader.read("cats?", [text])
    assert 0 <= span.begin < span.end <= len(text)
    [span] = reader.read("where do cats stay, and why? " * 30, [text])
    assert 0 <= span.begin < span.end <= len(text)


def test_readers_by_folder_answer_questions(qa: Path, cross_encoder: Path) -> None:
    passages = [
        Found(f"d{n}#0", f"d{n}", {"_document_id": f"d{n}", "_text": text}, 0.5) for n, text in enumerate(PASSAGES)
    ]
    for reader in (QuestionAnsweringReader(qa, levels=ALL), CrossEncoderReader(cross_encoder, levels=ALL)):
        assert isinstance(reader, Reader)
        answers = find_answers("how many bicycles?", passages, embed=BagOfStems(), reader=reader)
        assert {answer.passage.document_id for answer in answers} == {"d0", "d1"}


@pytest.mark.parametrize("reader", [CrossEncoderReader, QuestionAnsweringReader])
def test_a_folder_without_a_model_is_refused_when_it_is_asked(tmp_path: Path, reader: type) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}), encoding="utf-8")
    made = reader(tmp_path)  # nothing is loaded yet
    with pytest.raises(ModelError, match="Expected a model that reads answers, got .* which cannot be loaded"):
        made.read("bicycles", PASSAGES)


def test_bounds_below_one_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="Expected a number from 1, got 0 - at `units`"):
        CrossEncoderReader("anything", units=0)
    with pytest.raises(InvalidRequest, match="Expected a number from 1, got -1 - at `passages`"):
        QuestionAnsweringReader("anything", passages=-1)
