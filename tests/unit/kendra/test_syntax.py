"""The advanced query syntax: what is read as what, what is refused with a warning, and texts meant to hurt."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragvec.filters.interpret import matches
from ragvec.filters.nodes import EVERYTHING
from ragvec.kendra import KENDRA, NATIVE
from ragvec.kendra.attributes import Schema
from ragvec.kendra.syntax import cut_words, read
from ragvec.kendra.syntax.texts import folded_words, has_glob, has_phrase
from ragvec.kendra.syntax.tree import Attribute, Every, Phrase, Some, Unless, Wildcard, Word
from ragvec.pipeline.passages import BUILT_IN_TYPES
from ragvec.text.forms import form_parts, written

SCHEMA = Schema.of(
    {**BUILT_IN_TYPES, "status": "STRING_VALUE", "year": "LONG_VALUE", "tags": "STRING_LIST_VALUE", "size": "DOUBLE"}
    | {"open": "BOOLEAN"}
)
FERRY, TRAM, DAY = Word("ferry"), Word("tram"), Word("day")


@pytest.mark.parametrize(
    ("text", "terms", "plain"),
    [
        ("ferry AND tram", Every((FERRY, TRAM)), "ferry tram"),
        ("ferry OR tram OR day", Some((FERRY, TRAM, DAY)), "ferry tram day"),
        ("ferry NOT tram", Unless(FERRY, TRAM), "ferry"),
        ("ferry AND NOT tram", Unless(FERRY, TRAM), "ferry"),
        ("ferry NOT tram NOT day", Unless(Unless(FERRY, TRAM), DAY), "ferry"),
        ("(ferry OR tram) NOT day", Unless(Some((FERRY, TRAM)), DAY), "ferry tram"),
        ("ferry OR tram AND day", Some((FERRY, Every((TRAM, DAY)))), "ferry tram day"),
        ("(ferry tram) AND day", Every((Some((FERRY, TRAM)), DAY)), "ferry tram day"),
        ("pass ferry AND tram", Every((FERRY, TRAM)), "pass ferry tram"),
        ('"day pass" ferry', Phrase("day pass"), "day pass ferry"),
        ('"day pass" "price" ferry', Every((Phrase("day pass"), Phrase("price"))), "day pass price ferry"),
        ('ferry NOT "day pass"', Unless(FERRY, Phrase("day pass")), "ferry"),
        ("cycl* ferry", Wildcard("cycl*"), "ferry"),
        ("cyc*st?", Wildcard("cyc*st"), ""),
        ("((ferry)) AND ((tram))", Every((FERRY, TRAM)), "ferry tram"),
    ],
)
def test_terms_and_the_words_to_rank_by(text: str, terms: object, plain: str) -> None:
    parsed = read(text, SCHEMA, limits=KENDRA)
    assert (parsed.terms, parsed.plain, parsed.warnings) == (terms, plain, ())
    assert parsed.where == EVERYTHING


@pytest.mark.parametrize(
    "text",
    [
        "how many bicycles fit on the ferry?",
        "ferry and tram or day, not night",
        "see http://ferry.example/fares for it",
        "std::vector is a class, note: so",
        "**bold** and 2 * 3",
        "it's at 5 o'clock – “day pass”",
        "ANDES ORNOT",
    ],
)
def test_ordinary_text_is_left_as_it_is(text: str) -> None:
    parsed = read(text, SCHEMA, limits=KENDRA)
    assert (parsed.plain, parsed.warnings, parsed.restricts) == (text, (), False)


def test_parentheses_alone_demand_nothing() -> None:
    parsed = read("what is (annual) leave?", SCHEMA, limits=KENDRA)
    assert (parsed.plain, parsed.warnings, parsed.restricts) == ("what is annual leave?", (), False)


def seconds(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=timezone.utc).timestamp())  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("condition", "inside", "outside"),
    [
        ("status:open", {"status": "open"}, {"status": "Open"}),
        ('status:"on hold"', {"status": "on hold"}, {"status": "on"}),
        ("status:ope*", {"status": "open"}, {"status": "reopen"}),
        ('status:"ope*"', {"status": "ope*"}, {"status": "open"}),
        ("tags:a", {"tags": ["b", "a"]}, {"tags": ["b"]}),
        ("_document_id:x.md", {"_document_id": "x.md"}, {"_document_id": "y.md"}),
        ("_file_type:MS_WORD", {"_file_type": "docx"}, {"_file_type": "pdf"}),
        ("open:true", {"open": True}, {"open": False}),
        ("size:1.5", {"size": 1.5}, {"size": 2}),
        ("year:2021", {"year": 2021}, {"year": 2020}),
        ("year:-3", {"year": -3}, {"year": 3}),
        ("year:>=2021", {"year": 2021}, {"year": 2020}),
        ("year:>2021", {"year": 2022}, {"year": 2021}),
        ("year:<2021", {"year": 2020}, {"year": 2021}),
        ("year:<=2021", {"year": 2021}, {"year": 2022}),
        ("year:[2019 TO 2021]", {"year": 2019}, {"year": 2022}),
        ("year:{2019 TO 2021}", {"year": 2020}, {"year": 2019}),
        ("_created_at:2021", {"_created_at": seconds(2021, 12, 31, 23)}, {"_created_at": seconds(2022, 1, 1)}),
        ("_created_at:2021-12", {"_created_at": seconds(2021, 12, 31)}, {"_created_at": seconds(2021, 11, 30)}),
        ("_created_at:2021-02-28", {"_created_at": seconds(2021, 2, 28, 5)}, {"_created_at": seconds(2021, 3, 1)}),
        ("_created_at:2021-02-28T05", {"_created_at": seconds(2021, 2, 28, 5)}, {"_created_at": seconds(2021, 2, 28)}),
        ("_created_at:1700000000", {"_created_at": 1700000000}, {"_created_at": 1700000000.5}),
        ("_created_at:>2021-03", {"_created_at": seconds(2021, 4, 1)}, {"_created_at": seconds(2021, 3, 31)}),
        ("_created_at:<=2021-03", {"_created_at": seconds(2021, 3, 31)}, {"_created_at": seconds(2021, 4, 1)}),
        (
            "_created_at:[2023-03-01 TO 2023-03-31]",
            {"_created_at": seconds(2023, 3, 31, 23)},
            {"_created_at": seconds(2023, 4, 1)},
        ),
        (
            "_created_at:{2023-03-01 TO 2023-03-31}",
            {"_created_at": seconds(2023, 3, 2)},
            {"_created_at": seconds(2023, 3, 1, 12)},
        ),
    ],
)
def test_conditions_on_fields(condition: str, inside: dict[str, object], outside: dict[str, object]) -> None:
    parsed = read(f"ferry {condition}", SCHEMA, limits=KENDRA)
    assert (parsed.plain, parsed.terms, parsed.warnings) == ("ferry", None, ())
    assert matches(parsed.where, inside)
    assert not matches(parsed.where, outside)
    assert not matches(parsed.where, {})


def test_a_field_beside_an_operator_is_a_term_and_alone_a_condition() -> None:
    demanded = read("status:open AND ferry", SCHEMA, limits=KENDRA)
    assert demanded.terms == FERRY
    assert matches(demanded.where, {"status": "open"})
    either = read("status:open OR ferry", SCHEMA, limits=KENDRA)
    assert either.where == EVERYTHING
    assert isinstance(either.terms, Some)
    assert isinstance(either.terms.parts[0], Attribute)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("OR ferry", "an operator has no term beside it"),
        ("ferry AND", "an operator has no term beside it after AND"),
        ("ferry AND OR tram", "an operator has no term beside it after AND"),
        ("NOT ferry", "an operator has no term beside it"),
        ("(ferry AND) tram", "an operator has no term beside it after AND"),
        ("() AND ferry", "there is nothing in a pair of parentheses beside an operator"),
        ("(ferry", "a parenthesis is not closed"),
        ("ferry)", "a parenthesis is closed that was not opened"),
        ('a 5" screen', "a quotation mark is not closed"),
        ("time 10:30", "the index has no field '10'"),
        ("colour:red ferry", "the index has no field 'colour'"),
        ("_acl_allow:x ferry", "the index has no field '_acl_allow'"),
        ("_user_id:x ferry", "the index has no field '_user_id'"),
        ("year:abc", "the field 'year' holds numbers, and 'abc' is none"),
        ("year:9223372036854775808", "the field 'year' holds numbers"),
        ("_created_at:2021-02-32", "there is no date 2021-02-32"),
        ("_created_at:9999", "there is no date 9999"),
        ("_created_at:soon", "the field '_created_at' holds dates, and 'soon' is none"),
        ("open:yes", "'yes' does not fit the field 'open'"),
        ("status:[a TO b]", "the field 'status' holds text, which has neither ranges nor comparisons"),
        ("status:>a", "the field 'status' holds text"),
        ("year:[1 TO 2}", "the range of the field 'year' is not [a TO b] or {a TO b}"),
        ("year:[1 TO *]", "the field 'year' holds numbers, and '*' is none"),
        ("year:> 3", "the field 'year' has no value after it"),
        ("status:*x", "'*x': in a field, * stands at the end alone, after 3 characters or more"),
        ("fe* tram", "'fe*' has fewer than 3 characters before its *"),
    ],
)
def test_a_query_against_the_syntax_is_plain_words_and_a_warning(text: str, problem: str) -> None:
    parsed = read(text, SCHEMA, limits=KENDRA)
    assert (parsed.plain, parsed.restricts) == (text, False)
    (warning,) = parsed.warnings
    assert warning.startswith(f"The query is read as plain words: {problem}")


def test_thirty_words_count() -> None:
    many = " ".join(f"the word{n}" for n in range(40))
    cut = read(many, SCHEMA, limits=KENDRA)
    assert cut.plain == many[: many.index(" the word30")]
    assert cut.dropped
    assert cut_words(many, limits=KENDRA) == cut.plain
    assert (read(many, SCHEMA, limits=NATIVE).plain, cut_words(many, limits=NATIVE)) == (many, many)

    demanded = read(" AND ".join(f"word{n}" for n in range(40)), SCHEMA, limits=KENDRA)
    assert isinstance(demanded.terms, Every)
    assert demanded.terms.parts == tuple(Word(f"word{n}") for n in range(30))
    grouped = read("(" + " OR ".join(["a AND b AND c year:2021"] * 20) + ")", SCHEMA, limits=KENDRA)
    assert (grouped.warnings, grouped.dropped) == ((), True)
    phrase = read('"' + " ".join(f"word{n}" for n in range(40)) + '"', SCHEMA, limits=KENDRA)
    assert phrase.terms == Phrase(" ".join(f"word{n}" for n in range(30)))


PIECES = ["AND", "OR", "NOT", "(", ")", '"', "*", "fer*", "year:", "year:[1 TO 2]", ":", " ", " ", "ferry", "日本", "ß"]


@settings(max_examples=300, deadline=None)
@given(text=st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=40).map("".join)))
def test_any_text_can_be_read(text: str) -> None:
    parsed = read(text, SCHEMA, limits=KENDRA)
    assert len(parsed.warnings) <= 1
    if parsed.warnings:
        assert not parsed.restricts


@pytest.mark.parametrize(
    "text",
    [
        "(" * 200_000,
        ")" * 200_000,
        '"' * 200_001,
        "a AND " * 50_000 + "b",
        "NOT " * 50_000,
        "(a OR " * 30_000,
        "year:[1 TO " * 20_000,
        "year:[1 TO 2] " * 20_000,
        "abc" + "*" * 200_000 + "!",
        "abc" + "*a" * 100_000,
        "a:" * 100_000,
        "\u0301" * 100_000 + " AND",
        "word " * 100_000 + "AND x",
        "_created_at:" + "9" * 100_000,
    ],
    ids=range(14),
)
def test_texts_meant_to_hurt_are_read(text: str) -> None:
    """Each takes well under a second; what took quadratic time would take hours."""
    for limits in (KENDRA, NATIVE):
        assert len(read(text, SCHEMA, limits=limits).warnings) <= 1


def test_too_many_terms_are_refused_and_not_cut() -> None:
    (warning,) = read(" AND ".join(["ferry"] * 257), SCHEMA, limits=NATIVE).warnings
    assert warning == "The query is read as plain words: there are more than 256 terms with operators"


@pytest.mark.parametrize(
    ("text", "phrase", "there"),
    [
        ("A Day-Pass, please", "day pass", True),
        ("pass the day", "day pass", False),
        ("daypass", "day pass", False),
        ("pay day pass day", "day pass", True),
        ("ＤＡＹ　pass", "day pass", True),
        ("STRASSE 5", "Straße 5", True),
        ("東京都の船", "京都", True),
        ("東京の都", "京都", False),
        ("one ferries", "ferry", False),
    ],
)
def test_phrases(text: str, phrase: str, there: bool) -> None:
    assert has_phrase(text, folded_words(phrase)) is there


LETTERS = st.text("aAbBß'’-_ .½ﬁÉe\u0301\u00ad\u200b東京İ5,", max_size=14)


@settings(max_examples=500, deadline=None)
@given(text=LETTERS, sought=LETTERS)
def test_texts_passed_over_by_a_look_hold_nothing(text: str, sought: str) -> None:
    phrase, found = folded_words(sought), folded_words(text)
    if phrase:
        places = range(len(found) - len(phrase) + 1)
        assert has_phrase(text, phrase) == any(found[at : at + len(phrase)] == phrase for at in places)
        for language in (None, "en", "fr"):
            parts = form_parts(phrase[0][:2] + "*", language=language)
            there = any(word.startswith(parts[0]) for word in written(language).tokens(text))
            assert has_glob(text, parts, language=language) == there


@pytest.mark.parametrize(
    ("text", "pattern", "there"),
    [
        ("Bicycles aboard", "bicy*", True),
        ("motorbicycle", "bicy*", False),
        ("cyclist", "cyc*st", True),
        ("cyst", "cyc*st", False),
        ("cycst", "cyc*st", True),
        ("cyc", "cyc*cyc", False),
        ("cycling on", "cyc*i*g", True),
        ("cycling", "cyc*g*i", False),
        ("été indien", "ÉTÉ*", True),
        ("part foo_bar-7", "foob*", True),
        ("part AB-1234", "ab12*", True),
        ("well-known", "wellk*", False),
        ("a" * 5000, "aaa" + "*a" * 500 + "*b", False),
    ],
    ids=range(13),
)
def test_wildcards(text: str, pattern: str, there: bool) -> None:
    for language in (None, "en", "es"):
        assert has_glob(text, form_parts(pattern, language=language), language=language) is there
