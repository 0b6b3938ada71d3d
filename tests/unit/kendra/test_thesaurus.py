"""Synonym files and the thesaurus of an index."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from kendra_corpus import BagOfStems, fill

from ragvec.errors import InvalidRequest, QuotaExceeded, ResourceNotFound
from ragvec.kendra.client import Client
from ragvec.kendra.index import QueryIndex
from ragvec.kendra.learn.solr import Rule, rules_of, term_count
from ragvec.kendra.learn.thesaurus import THESAURI, StoodFor, Synonyms, synonyms
from ragvec.kendra.notes import Notes
from ragvec.kendra.relevance import MINILM
from ragvec.kendra.settings import Settings
from ragvec.store import Index, Store

GUIDE = """
# Comments and blank lines do not count.

CodeStar => AWS CodeStar
autoscaling group, ASG => Auto Scaling group, autoscaling
DNS, Route53, Route 53
Beta => Alpha
Beta => Gamma
Beta, Delta
"""


@pytest.fixture
def notes(ferries: Index) -> Notes:
    return Notes(ferries)


def test_the_example_of_the_guide_has_6_rules_and_18_terms() -> None:
    rules = rules_of(GUIDE)
    assert len(rules) == 6
    assert term_count(rules) == 18
    assert rules[1] == Rule(("autoscaling group", "ASG"), ("Auto Scaling group", "autoscaling"))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("the codestar pipeline", {"AWS CodeStar"}),
        ("AWS CodeStar", set()),
        ("an ASG grows", {"Auto Scaling group", "autoscaling"}),
        ("Auto Scaling group", set()),
        ("dns", {"Route53", "Route 53"}),
        ("route 53 zones", {"DNS", "Route53"}),
        ("route-53", {"DNS", "Route53"}),
        ("beta", {"Alpha", "Gamma", "Delta"}),
        ("delta", {"Beta"}),
        ("alpha", set()),
        ("route 54", set()),
        ("", set()),
    ],
)
def test_terms_bring_their_synonyms(query: str, expected: set[str]) -> None:
    assert set(Synonyms(rules_of(GUIDE)).expand(query)) == expected


def test_the_longest_term_is_taken_and_words_match_by_stem() -> None:
    found = Synonyms(rules_of("queue => line\ndead letter queue => DLQ\nthe => a thing"))
    assert found.expand("Dead-Letter Queues fill") == ("DLQ",)
    assert found.expand("queues") == ("line",)
    assert found.expand("the") == ()


def test_a_synonym_that_the_query_has_is_not_added() -> None:
    found = Synonyms(rules_of("bicycle, bike, cycle"))
    assert found.expand("bicycle or bikes") == ("cycle",)


def test_a_backslash_takes_a_character_as_it_is() -> None:
    terms = ("a,b", "c=>d", "e\\f")
    assert rules_of(r"a\,b, c\=>d, e\\f") == (Rule(terms, terms),)


def test_rules_that_bring_nothing_are_left_out() -> None:
    assert rules_of("a => a\nA, a\nlone\n\n# x, y") == ()


@pytest.mark.parametrize("line", ["a => b => c", "=> b", "a =>", ", ,", "a, b => ,"])
def test_what_is_no_rule_is_refused_with_its_line(line: str) -> None:
    with pytest.raises(InvalidRequest, match="line 2 of `text`"):
        rules_of(f"x, y\n{line}")


def test_limits_of_a_thesaurus(notes: Notes) -> None:
    with pytest.raises(QuotaExceeded, match=r"at most 10,000 rules, got 10,001"):
        THESAURI.create(notes, "\n".join(f"a{i}, b{i}" for i in range(10_001)), name="t")
    with pytest.raises(InvalidRequest, match="at most 10 synonyms of a term, got 11 of 'a'"):
        THESAURI.create(notes, "a => " + ", ".join(f"b{i}" for i in range(11)), name="t")
    with pytest.raises(QuotaExceeded, match="at most 5,242,880 bytes"):
        THESAURI.create(notes, "# " + "x" * (5 << 20), name="t")
    assert THESAURI.all(notes) == ()


def test_an_index_has_one_thesaurus(notes: Notes) -> None:
    made = THESAURI.create(notes, "bike, bicycle", name="one", token="t", clock=lambda: 7.0)
    assert (made.figures, made.bytes, made.created) == ({"rules": 1, "terms": 2}, 13, 7.0)
    assert THESAURI.create(notes, "bike, bicycle", name="one", token="t") == made
    with pytest.raises(QuotaExceeded, match="at most 1 thesaurus, and this one has 'one'"):
        THESAURI.create(notes, "a, b", name="two")
    assert notes.index.property_names(prefix="kendra.thesaurus.text") == [f"kendra.thesaurus.text.{made.version}"]


def test_synonyms_follow_the_thesaurus(notes: Notes) -> None:
    assert not synonyms(notes)
    made = THESAURI.create(notes, "bike, bicycle", name="one")
    assert synonyms(notes).expand("bike") == ("bicycle",)
    assert synonyms(Notes(notes.index)) is synonyms(notes)

    THESAURI.change(notes, made.id, name="renamed")
    assert synonyms(notes).expand("bike") == ("bicycle",)
    changed = THESAURI.change(notes, made.id, "boat, ferry", clock=lambda: made.updated + 1)
    assert (changed.name, changed.updated) == ("renamed", made.updated + 1)
    assert synonyms(notes).expand("bike or boat") == ("ferry",)

    with pytest.raises(InvalidRequest):
        THESAURI.change(notes, made.id, "a => b => c")
    assert THESAURI.one(notes, made.id) == changed

    THESAURI.delete(notes, made.id)
    assert synonyms(notes).expand("boat") == ()
    assert notes.index.property_names(prefix="kendra.thesaurus") == []
    with pytest.raises(ResourceNotFound, match="no thesaurus with the id"):
        THESAURI.delete(notes, made.id)


def test_the_operations_of_a_client(store: Store, ferries: Index, tmp_path: Path) -> None:
    (tmp_path / "synonyms.txt").write_bytes("\ufeffbike, bicycle\n".encode())
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9, coffee")
    client = Client(store, embedder=BagOfStems(), folders={"my-bucket": tmp_path})
    uid, source = ferries.uid, {"Bucket": "my-bucket", "Key": "synonyms.txt"}
    given = {"IndexId": uid, "Name": "words", "RoleArn": "", "SourceS3Path": source}
    made = client.create_thesaurus(**given, Description="d", ClientToken="t")["Id"]
    assert client.create_thesaurus(**given, ClientToken="t")["Id"] == made
    with pytest.raises(client.exceptions.ServiceQuotaExceededException):
        client.create_thesaurus(**given)

    described = client.describe_thesaurus(IndexId=uid, Id=made)
    assert {described[name] for name in ("Name", "Status", "Description", "RoleArn")} == {"words", "ACTIVE", "d", ""}
    assert (described["TermCount"], described["SynonymRuleCount"], described["FileSizeBytes"]) == (2, 1, 14)
    assert described["SourceS3Path"] == source
    assert [each["Id"] for each in client.list_thesauri(IndexId=uid)["ThesaurusSummaryItems"]] == [made]

    with pytest.raises(client.exceptions.ValidationException, match="Expected text in UTF-8, got the byte 0xe9 at 3"):
        client.update_thesaurus(IndexId=uid, Id=made, SourceS3Path={**source, "Key": "latin.txt"})
    (tmp_path / "synonyms.txt").write_text("boat, ferry\nasg => group", encoding="utf-8")
    client.update_thesaurus(IndexId=uid, Id=made, SourceS3Path=source, Name="other")
    assert client.describe_thesaurus(IndexId=uid, Id=made)["SynonymRuleCount"] == 2
    assert synonyms(Notes(ferries)).expand("boat") == ("ferry",)

    client.delete_thesaurus(IndexId=uid, Id=made)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.describe_thesaurus(IndexId=uid, Id=made)
    assert client.list_thesauri(IndexId=uid)["ThesaurusSummaryItems"] == []


def test_parts_of_a_text_bring_terms_each() -> None:
    found = Synonyms(rules_of("holiday, annual leave\npay => salary"))
    assert found.brought("Holidays and Annual Leave, pay") == (StoodFor("pay", ("salary",)),)
    assert found.brought("when is PAY and holiday pay?") == (
        StoodFor("PAY", ("salary",)),
        StoodFor("holiday", ("annual leave",)),
    )


@pytest.mark.parametrize("rare", ["vacation", "zeppelin"], ids=["in hidden words", "in no text"])
def test_a_document_that_only_a_synonym_reaches_is_found(store: Store, rare: str) -> None:
    texts = {f"other-{n}": "The harbour crew keeps the ferry log." for n in range(40)}
    texts |= {"leave": "Annual leave is twenty days.", "own": "The vacation rota hangs by the door."}
    documents = [{"id": name, "title": "", "text": text} for name, text in texts.items()]
    index = fill(store, documents, name=f"leave-{rare}")
    for key in ("_text", "_document_title"):
        index.add_text(key, language="en")
    query_index = QueryIndex(index, embedder=BagOfStems(), settings=Settings(scale=MINILM))
    assert "leave" not in {item.document_id for item in query_index.search(rare)}

    THESAURI.create(Notes(index), f"{rare} => annual leave", name="words")
    found = query_index.search(rare)
    assert [item.document_id for item in found] == (["own", "leave"] if rare == "vacation" else ["leave"])
    assert found[-1].score == pytest.approx(0.5 * (1 - math.exp(-1)), abs=0.05)
    # Beside another word it counts as its part of the question.
    several = {item.document_id: item.score for item in query_index.search(f"{rare} days")}
    assert several["leave"] > found[-1].score
