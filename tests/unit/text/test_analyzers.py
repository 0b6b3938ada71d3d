"""Terms of text, language by language: forms of a word that meet, words that must not, codes, and text of any kind."""

from __future__ import annotations

import subprocess
import sys
import threading
from importlib.util import find_spec

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragvec.errors import InvalidRequest, MissingExtra
from ragvec.text.analyzers import LANGUAGES, analyzer

NEEDS = {"zh": "rjieba", "ja": "sudachipy", "ko": "kiwipiepy"}
HERE = [None, *(language for language in LANGUAGES if language not in NEEDS or find_spec(NEEDS[language]))]


def terms(language: str | None, text: str) -> list[str]:
    return analyzer(language).tokens(text)


MEET = {
    None: ["STRASSE Straße straße", "ＡＢＣ abc ABC", "ﾊﾟﾝ パン", "cafe\u0301 café CAFÉ", "ΟΔΟΣ οδος", "İzmir izmir"],
    "en": ["university universities University's", "run running runs", "café cafe CAFÉS", "Łódź lodz", "isn’t isn't"],
    "fr": [
        "cheval chevaux",
        "l'eau l’eau eau eaux",
        "mangé mangée manger",
        "élève eleve élèves",
        "cœur coeur",
        "qu'importe importe",
        "national nationale nationaux",
    ],
    "es": ["canción canciones cancion", "niño niña niños", "hablar hablando habló", "pingüino pinguino"],
    "pt": [
        "nação nações nacao nacoes",
        "informação informações informacao",
        "animal animais",
        "homem homens",
        "papel papéis",
        "fácil fáceis",
        "possível possíveis",
        "água d'água agua",
        "jardim jardins",
    ],
    "it": ["gatto gatti gatta", "amica amiche", "acqua dell'acqua l’acqua", "città citta", "libro libri"],
    "de": [
        "Haus Häuser Haeuser",
        "Buch Bücher Buecher",
        "Straße Strassen",
        "Freundin Freundinnen",
        "Übung ubung uebung",
    ],
    "nl": ["huis huizen", "boek boeken", "lopen loopt gelopen", "foto foto's", "coördinatie coordinatie"],
}
APART = {
    None: ["cafe café", "run running"],
    "en": ["policy police polish", "leave lease"],
    "fr": ["poisson poison", "cheval cheveu"],
    "es": ["año ano", "caro carro"],
    "pt": ["avó novo", "casa caça", "pau pão"],
    "it": ["pala palla", "nono nonno"],
    "de": ["Haus Maus", "Buch Bach"],
    "nl": ["boek boot", "man maan"],
}


@pytest.mark.parametrize(("language", "forms"), [(code, forms) for code, many in MEET.items() for forms in many])
def test_forms_of_a_word_meet(language: str | None, forms: str) -> None:
    found = {form: tuple(terms(language, form)) for form in forms.split()}
    assert len(set(found.values())) == 1, found


@pytest.mark.parametrize(("language", "words"), [(code, words) for code, many in APART.items() for words in many])
def test_different_words_stay_apart(language: str | None, words: str) -> None:
    found = {word: tuple(terms(language, word)) for word in words.split()}
    assert len(set(found.values())) == len(found), found


@pytest.mark.parametrize(
    ("language", "sentence", "words"),
    [
        ("en", "The cats’ owners were running late.", "owner cat run"),
        ("fr", "Aujourd’hui, l'élève mangeait des œufs à l'école.", "eleve manger oeuf ecole élèves"),
        ("es", "Los niños cantaban canciones en la montaña.", "niño canción montañas"),
        ("pt", "As crianças comeram os pães nas reuniões.", "criança pão reunião reuniao"),
        ("it", "Nell’autunno le amiche leggevano libri d'arte.", "autunno amica libro arte"),
        ("de", "Die Häuser an der Hauptstraße wurden verkauft.", "Haus hauptstrasse"),
        ("nl", "De kinderen liepen langs de oude huizen.", "kinderen huis"),
    ],
)
def test_words_are_found_in_a_sentence(language: str, sentence: str, words: str) -> None:
    there = set(terms(language, sentence))
    for word in words.split():
        assert there.issuperset(terms(language, word)), (word, terms(language, word), there)


@pytest.mark.parametrize("language", HERE)
@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("Order AB-1234, please", "ab-1234"),
        ("Order AB-1234, please", "AB1234"),
        ("part 6ES7_315.2", "6es7-315-2"),
        ("(jane.doe@example.com)", "Jane.Doe@Example.com"),
        ("read_csv()", "READ_CSV"),
        ("v1.2.3 and ISBN 978-3-16-148410-0.", "978-3-16-148410-0"),
        ("full width ＡＢ-１２３４", "AB-1234"),
    ],
)
def test_a_code_is_found_as_a_whole(language: str | None, written: str, asked: str) -> None:
    whole = max(terms(language, asked), key=len)
    assert whole in terms(language, written)
    assert whole not in terms(
        language, asked.replace("-", " ").replace("_", " ").replace(".", " ").replace("@", " ")
    ) or (asked.isalnum())


def test_an_ordinary_compound_is_its_parts() -> None:
    assert terms(None, "well-known and/or e.g.") == ["well", "known", "and", "or", "e", "g"]


def test_runs_without_spaces_go_by_pairs_and_han_characters_besides() -> None:
    assert sorted(terms(None, "東京の雨")) == sorted(["東京", "京の", "の雨", "東", "京", "雨"])
    assert terms(None, "猫") == ["猫"]
    assert terms(None, "カナ") == ["カナ"]
    assert terms(None, "ｶﾞｽ") == ["ガス"]


def test_nothing_is_left_out_for_being_frequent() -> None:
    assert terms("en", "To be or not to be: The Who") == ["to", "be", "or", "not", "to", "be", "the", "who"]


def test_a_question_counts_a_term_once_and_a_light_word_half() -> None:
    assert analyzer("en").query("the cats and the cat") == {"the": 0.5, "cat": 1.0, "and": 0.5}
    assert analyzer(None).query("the the") == {"the": 1.0}
    assert analyzer("de").query("Haus Häuser") == {"haus": 1.0}


@pytest.mark.parametrize("language", HERE)
@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=60) | st.text(st.characters(categories=["Lo", "Mn", "Lm", "Nd", "Cs", "Cc"]), max_size=60))
def test_any_text_has_terms_that_can_be_stored(language: str | None, text: str) -> None:
    found = terms(language, text)
    assert all(0 < len(term.encode()) <= 255 for term in found)
    assert found == terms(language, text)
    assert set(analyzer(language).query(text)) == set(found)


@pytest.mark.parametrize("language", HERE)
@pytest.mark.parametrize(
    "text",
    [
        "a" * 100_000,
        "a" + "\u0301\u0323" * 50_000,
        "a\u0301" * 50_000,
        "\u0e01" + "\u0e38\u0e48" * 50_000,
        "\0\ud800" * 50_000,
        "1-" * 50_000,
        "東京" * 5_000,
        "ｶﾞ" * 5_000,
        "한국" * 1_000,
        "ﷺ" * 50_000,
    ],
    ids=lambda text: ascii(text[:3]),
)
def test_hostile_text_has_terms_of_bounded_size(language: str | None, text: str) -> None:
    found = terms(language, text)
    assert len(found) <= 2 * len(text)
    assert all(len(term.encode()) <= 255 for term in found)


def test_a_long_word_is_known_by_its_beginning() -> None:
    assert terms("en", "x" * 300) == ["x" * 255]
    assert terms(None, "я" * 300) == ["я" * 127]


def test_threads_get_the_same_terms() -> None:
    text = " ".join(f"runn{number}ing universities l'eau-{number}" for number in range(2000))
    expected = analyzer.__wrapped__("en").tokens(text)
    shared, found = analyzer.__wrapped__("en"), []
    threads = [threading.Thread(target=lambda: found.append(shared.tokens(text))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 6


def test_letters_newer_than_unicode_13_divide_words() -> None:
    assert terms(None, "ab\U00010570cd \U0001e4d0 \ua7c0x") == ["ab", "cd", "x"]
    assert terms(None, "a1\U00010570b-2") == ["a1", "b", "2", "b2"]


def test_names_tell_language_rules_and_versions() -> None:
    names = [analyzer(language).name for language in HERE]
    assert len(set(names)) == len(names)
    assert analyzer(None).name == "standard:1"
    assert analyzer("en").name.startswith("en:1 snowball 3.")


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="Expected a language of en, fr, .* or none, got 'xx' - at `language`"):
        analyzer("xx")


@pytest.mark.parametrize("language", sorted(NEEDS))
def test_a_missing_library_is_told(language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, NEEDS[language], None)
    with pytest.raises(MissingExtra, match=rf"pip install 'ragvec\[text-{language}\]'"):
        analyzer.__wrapped__(language)


def test_no_library_is_imported_before_it_is_needed() -> None:
    code = (
        "import sys, ragvec.text.analyzers as a; a.analyzer(None);"
        "print([m for m in ('rjieba', 'sudachipy', 'kiwipiepy', 'Stemmer') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
