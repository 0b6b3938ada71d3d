from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragvec.kendra import QueryIndex
from ragvec.pipeline.embedders import HashingEmbedder
from ragvec.store import Store

Run = Callable[..., Any]

PAGES = {
    "leave.md": "# Parental leave\n\nParents of a newborn child take eighteen weeks of leave at full salary.",
    "pension.txt": "Pension\n\nThe company adds eight percent of your salary to the pension every month.",
    "travel.html": "<h1>Travel</h1><p>Book trains and hotels through the travel desk, never by yourself.</p>",
    "laptop.md": "# Laptop\n\nA broken laptop is replaced within two working days by the service desk.",
    "review.md": "# Laptop review\n\nThe stolen laptop of a director held the salary list of the board.",
}
ATTRIBUTES = [
    {
        "id": "leave.md",
        "path": "docs/leave.md",
        "department": "People",
        "last_updated_at": "2026-02-01",
        "view_count": 1200,
    },
    {
        "id": "pension.txt",
        "path": "docs/pension.txt",
        "department": "People",
        "last_updated_at": "2024-05-01",
        "view_count": 30,
    },
    {
        "id": "travel.html",
        "path": "docs/travel.html",
        "department": "Finance",
        "last_updated_at": "2026-01-01",
        "view_count": 500,
    },
    {
        "id": "laptop.md",
        "path": "docs/laptop.md",
        "department": "IT",
        "last_updated_at": "2025-12-31",
        "view_count": 900,
    },
    {"id": "review.md", "department": "IT", "last_updated_at": "2025-01-01", "access_groups": ["security"]},
]


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    for name, text in PAGES.items():
        (folder / name).write_text(text, encoding="utf-8")
    lines = "\n".join(map(json.dumps, ATTRIBUTES))
    (tmp_path / "attributes.jsonl").write_text(lines, encoding="utf-8")
    return folder


@pytest.fixture
def ingest(ragvec: Run, documents: Path) -> Run:
    def run(*words: object, sources: tuple[object, ...] = (documents,)) -> Any:
        attributes = documents.parent / "attributes.jsonl"
        return ragvec("ingest", *sources, "--into", "work/notes", "--attributes", attributes, *words)

    return run


@pytest.fixture
def filled(ragvec: Run, ingest: Run) -> Run:
    assert ingest("--embedder", "hashing:512").status == 0
    return ragvec


def found(done: Any) -> list[str]:
    assert done.status == 0, done.err
    return [item["document_id"] for item in done.json["items"]]


def test_ingest_makes_bucket_and_index_and_reports(ragvec: Run, ingest: Run) -> None:
    done = ingest("--embedder", "hashing:512", "--json")
    assert (done.status, done.json["index"]) == (0, "work/notes")
    report = done.json["report"]
    assert (report["documents"], report["added"], report["failed"]) == (5, 5, [])
    shown = ragvec("indexes", "show", "work/notes", "--json").json
    assert (shown["embedder"], shown["dimension"], shown["vectors"]) == ("hashing:512", 512, report["chunks"])
    assert shown["attributes"]["department"] == "STRING_VALUE"
    assert shown["attributes"]["_last_updated_at"] == "DATE_VALUE"


def test_ingest_again_skips_what_is_unchanged_and_remembers_the_embedder(ingest: Run, documents: Path) -> None:
    ingest("--embedder", "hashing:512")
    (documents / "laptop.md").write_text("# Laptop\n\nA broken laptop is replaced within three working days.")
    (documents / "travel.html").unlink()
    report = ingest("--json").json["report"]
    assert (report["unchanged"], report["replaced"], report["removed"]) == (3, 1, 0)
    report = ingest("--json", "--remove-missing").json["report"]
    assert (report["unchanged"], report["replaced"], report["removed"]) == (4, 0, 1)


def test_ingest_with_another_embedder_is_refused(ingest: Run) -> None:
    ingest("--embedder", "hashing:512")
    done = ingest("--embedder", "hashing:64")
    assert (done.status, done.out, done.err.count("\n")) == (1, "", 1)
    assert "'hashing:512'" in done.err
    assert "'hashing:64'" in done.err


def test_ingest_takes_several_sources_as_one(ragvec: Run, ingest: Run, documents: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("Parking is free.")
    sources = (documents / "leave.md", other)
    assert ingest("--embedder", "hashing", sources=sources).status == 0
    report = ingest("--remove-missing", "--json", sources=sources).json["report"]
    assert (report["documents"], report["unchanged"], report["removed"]) == (2, 2, 0)
    assert found(ragvec("query", "work/notes", "", "--json")) == ["leave.md", "other.txt"]


def test_ingest_takes_the_files_that_match_a_pattern(ragvec: Run, ingest: Run) -> None:
    ingest("--embedder", "hashing", "--glob", "*.md")
    assert found(ragvec("query", "work/notes", "", "--json")) == ["laptop.md", "leave.md", "review.md"]


def test_ingest_takes_a_beir_folder(ragvec: Run, tmp_path: Path) -> None:
    folder = tmp_path / "beir"
    folder.mkdir()
    rows = [{"_id": str(n), "title": f"Title {n}", "text": f"Text number {n}"} for n in range(3)]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "not a document"}')
    assert ragvec("ingest", folder, "--into", "work/beir", "--embedder", "hashing").status == 0
    assert found(ragvec("query", "work/beir", "", "--json")) == ["0", "1", "2"]


def test_chunk_options_decide_how_documents_are_split(ragvec: Run, tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_text(" ".join(f"Sentence {n} has exactly six words." for n in range(40)))
    options = ("--into", "work/notes", "--embedder", "hashing")
    whole = ragvec("ingest", path, *options, "--json").json["report"]["chunks"]
    parts = ragvec("ingest", path, *options, "--chunk-tokens", "24", "--json").json["report"]["chunks"]
    overlapping = ragvec("ingest", path, *options, "--chunk-tokens", "24", "--overlap", "8", "--json").json["report"]
    assert whole < parts < overlapping["chunks"]
    assert ragvec("ingest", path, *options, "--chunk-tokens", "24", "--overlap", "20").status == 1


def test_a_chunker_by_name_splits_documents(ragvec: Run, tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_text(" ".join(f"Sentence {n} has exactly six words." for n in range(40)))
    options = ("--into", "work/notes", "--embedder", "hashing", "--json")
    assert ragvec("ingest", path, *options, "--chunker", "sentences:4:0").json["report"]["chunks"] == 10
    assert ragvec("ingest", path, *options, "--chunker", "sentences:8:0").json["report"]["chunks"] == 5
    wrong = ragvec("ingest", path, *options, "--chunker", "sentence")
    assert (wrong.status, "Expected a chunker named structure, tokens" in wrong.err) == (1, True)
    assert ragvec("ingest", path, *options, "--chunker", "tokens", "--overlap", "3").status == 2


def test_pages_of_the_web_are_fetched_when_that_is_asked_for(ragvec: Run) -> None:
    options = ("--into", "work/notes", "--embedder", "hashing")
    refused = ragvec("ingest", "http://127.0.0.1:9/page", *options)
    assert (refused.status, "it is fetched with --urls" in refused.err) == (2, True)
    # Nothing listens there, and an address of this machine would not be connected to anyway.
    failed = ragvec("ingest", "http://127.0.0.1:9/page", "--urls", *options, "--json")
    assert failed.status == 1
    assert "Expected a host on the public internet" in str(failed.json["report"]["failed"])


def test_documents_that_cannot_be_read_are_reported_and_the_rest_is_there(ingest: Run, documents: Path) -> None:
    (documents / "picture.png").write_bytes(b"\x89PNG")
    done = ingest("--embedder", "hashing", "--json")
    assert done.status == 0
    assert done.json["report"]["added"] == 5
    assert [failure["source"] for failure in done.json["report"]["failed"]] == ["picture.png"]
    (documents / "bad\x1b[31m.png").write_bytes(b"\x89PNG")
    text = ingest().out
    assert "picture.png" in text
    assert "\x1b" not in text


def test_exit_code_is_1_when_nothing_could_be_read(ragvec: Run, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(b"\x89PNG")
    assert ragvec("ingest", path, "--into", "work/notes", "--embedder", "hashing").status == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["absent/"], "absent"),
        (["{docs}", "--attributes", "absent.jsonl"], "absent.jsonl"),
        (["{docs}", "--glob", "*.xyz"], "matches '*.xyz'"),
    ],
)
def test_what_is_not_there_is_refused_before_a_store_is_made(
    ragvec: Run, documents: Path, store: Path, words: list[str], message: str
) -> None:
    given = [word.format(docs=documents) for word in words]
    done = ragvec("ingest", *given, "--into", "work/notes", "--embedder", "hashing")
    assert (done.status, done.out, done.err.count("\n")) == (1, "", 1)
    assert message in done.err
    assert not store.exists()


def test_a_misspelt_embedder_is_not_looked_for_elsewhere(ragvec: Run, documents: Path, store: Path) -> None:
    done = ragvec("ingest", documents, "--into", "work/notes", "--embedder", "hashling:64")
    assert (done.status, done.out) == (2, "")
    assert done.err.endswith("no model 'hashling:64'; did you mean 'hashing'?\n")
    assert not store.exists()


def test_every_reason_of_a_failure_is_shown(ingest: Run, documents: Path) -> None:
    for number in range(12):
        (documents / f"picture.{number}").write_bytes(b"\x89PNG")
        (documents / f"again.{number}").write_bytes(b"\x89PNG")
    shown = ingest("--embedder", "hashing").out
    assert all(f"again.{number}, picture.{number}: " in shown for number in range(12))


def test_a_wrong_date_is_named_by_its_place(filled: Run) -> None:
    done = filled("query", "work/notes", "x", "--where", '{"$or": [{"_last_updated_at": {"$gte": "last year"}}]}')
    assert (done.status, done.out) == (1, "")
    assert "got 'last year' - at `where.$or[0]._last_updated_at.$gte`" in done.err


def test_progress_goes_to_standard_error_and_quiet_leaves_it_out(process: Run, documents: Path) -> None:
    words = ("ingest", documents, "--into", "work/notes", "--embedder", "hashing")
    done = process(*words, "--json")
    assert (json.loads(done.out)["report"]["added"], "5 documents" in done.err) == (5, True)
    assert process(*words, "--quiet").err == ""


def test_query_finds_the_page_that_answers_and_shows_why(filled: Run) -> None:
    done = filled("query", "work/notes", "how many weeks of leave for a newborn child?", "--json")
    first = done.json["items"][0]
    assert first["document_id"] == "leave.md"
    assert first["title"] == "Parental leave"
    marked = [first["excerpt"][span["begin"] : span["end"]] for span in first["highlights"]]
    assert {"weeks", "leave", "newborn", "child"} <= set(marked)
    assert first["attributes"]["department"] == "People"
    assert first["attributes"]["_last_updated_at"] == "2026-02-01T00:00:00Z"
    assert first["confidence"] in {"LOW", "MEDIUM", "HIGH", "VERY_HIGH"}
    assert done.json["page"] == 1
    assert done.json["total"] >= 1


def test_words_of_the_question_need_no_quotes(filled: Run) -> None:
    quoted = filled("query", "work/notes", "newborn child", "--json").json
    assert filled("query", "work/notes", "newborn", "child", "--json").json == quoted


def test_query_for_people(filled: Run) -> None:
    done = filled("query", "work/notes", "newborn child leave", "--facet", "department")
    lines = done.out.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("1. "))
    # An answer stands in front where the reader is sure enough of one.
    assert all(line.startswith(("»  ", "   ")) or not line for line in lines[:first])
    lines = lines[first:]
    assert lines[0].startswith("1. Parental leave")
    assert lines[0].split()[-1] == f"{float(lines[0].split()[-1]):.3f}"
    assert any("department People" in line for line in lines)
    assert any(line.startswith("department  ") for line in lines)
    assert lines[-1].startswith("page 1 of 1 · ")
    assert all(len(line) <= 80 and line == line.rstrip() for line in lines)
    assert "\x1b" not in done.out


def test_an_empty_text_lists_what_satisfies_the_filter(filled: Run) -> None:
    where = '{"department": {"$in": ["Finance", "IT"]}}'
    assert found(filled("query", "work/notes", "", "--where", where, "--json")) == [
        "laptop.md",
        "review.md",
        "travel.html",
    ]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ('{"_last_updated_at": {"$gte": "2026-01-01"}}', ["leave.md", "travel.html"]),
        ('{"_last_updated_at": {"$gt": "2026-01-01T00:00:00Z"}}', ["leave.md"]),
        ('{"_last_updated_at": "2024-05-01"}', ["pension.txt"]),
        ('{"$or": [{"_created_at": 0}, {"_last_updated_at": {"$gt": "2026-01-31"}}]}', ["leave.md"]),
        ('{"_last_updated_at": {"$in": ["2024-05-01", "2026-01-01"]}}', ["pension.txt", "travel.html"]),
        ('{"_last_updated_at": {"$gte": 1767225600}}', ["leave.md", "travel.html"]),
        ('{"_view_count": {"$gte": 500}, "department": "IT"}', ["laptop.md"]),
    ],
)  # fmt: skip
def test_dates_in_filters_are_written_as_text(filled: Run, where: str, expected: list[str]) -> None:
    assert found(filled("query", "work/notes", "", "--where", where, "--json")) == expected


def test_facets_count_what_was_found(filled: Run) -> None:
    done = filled("query", "work/notes", "", "--facet", "department", "--facet", "_file_type", "--json")
    assert done.json["facets"] == {
        "department": [{"value": "IT", "count": 2}, {"value": "People", "count": 2}, {"value": "Finance", "count": 1}],
        "_file_type": [{"value": "md", "count": 3}, {"value": "html", "count": 1}, {"value": "txt", "count": 1}],
    }


def test_sorting(filled: Run) -> None:
    newest = ["leave.md", "travel.html", "laptop.md", "review.md", "pension.txt"]
    assert found(filled("query", "work/notes", "", "--sort", "-_last_updated_at", "--json")) == newest
    assert found(filled("query", "work/notes", "", "--sort=_last_updated_at", "--json")) == newest[::-1]


def test_pages(filled: Run) -> None:
    pages = [filled("query", "work/notes", "", "--page-size", "2", "--page", n, "--json") for n in (1, 2, 3)]
    assert [name for page in pages for name in found(page)] == sorted(PAGES)
    assert [(page.json["page"], page.json["pages"], page.json["total"]) for page in pages] == [
        (1, 3, 5),
        (2, 3, 5),
        (3, 3, 5),
    ]
    text = filled("query", "work/notes", "", "--page-size", "2", "--page", "2").out
    assert text.startswith("3. ")
    assert text.endswith("page 2 of 3 · 5 documents\n")


def test_access_groups(filled: Run) -> None:
    question = ("query", "work/notes", "stolen laptop of a director", "--json")
    assert found(filled(*question))[0] == "review.md"
    assert found(filled(*question, "--group", "security"))[0] == "review.md"
    for restricted in (("--user", "lena"), ("--group", "people")):
        assert found(filled(*question, *restricted))[0] == "laptop.md"
        assert "review.md" not in found(filled(*question, *restricted))


def test_passages_come_in_full(filled: Run) -> None:
    done = filled("query", "work/notes", "newborn child", "--passages", "--json")
    first = done.json["items"][0]
    assert first["document_id"] == "leave.md"
    assert "eighteen weeks of leave at full salary" in first["text"]
    shown = filled("query", "work/notes", "newborn child", "--passages").out
    assert "eighteen weeks of leave" in shown


def test_nothing_found_is_no_error(filled: Run) -> None:
    done = filled("query", "work/notes", "", "--where", '{"department": "Nobody"}')
    assert (done.status, done.out.splitlines()[0]) == (0, "No documents found.")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--sort", "colour"], "no field 'colour'"),
        (["--facet", "colour"], "no field 'colour'"),
        (["--where", '{"colour": "red"}'], "'colour'"),
        (["--where", '{"_last_updated_at": {"$gte": "yesterday"}}'], "Expected a date in ISO 8601, got 'yesterday'"),
    ],
)
def test_what_the_index_does_not_know_is_one_line(filled: Run, words: list[str], message: str) -> None:
    done = filled("query", "work/notes", "leave", *words)
    assert (done.status, done.out, done.err.count("\n")) == (1, "", 1)
    assert message in done.err


def test_vectors_are_searched_by_text_with_the_embedder_of_the_index(filled: Run) -> None:
    text = "weeks of leave for a newborn child"
    done = filled("vectors", "query", "work/notes", "--text", text, "--top-k", "5", "--json", "--data")
    query = HashingEmbedder(512).embed_query(text).astype(np.float64)
    for row in done.json["vectors"]:
        vector = np.float32(row["data"]).astype(np.float64)
        cosine = query @ vector / np.sqrt((query @ query) * (vector @ vector))
        assert row["distance"] == pytest.approx(1 - cosine, abs=1e-6)
    assert done.json["vectors"][0]["metadata"]["_document_id"] == "leave.md"


def test_a_filled_index_survives_export_and_import(filled: Run, tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl.gz"
    question = ("newborn child", "--where", '{"_last_updated_at": {"$gte": "2026-01-01"}}', "--json")
    filled("export", "work/notes", path)
    assert filled("import", path, "copy/notes").status == 0
    assert filled("query", "copy/notes", *question).json == filled("query", "work/notes", *question).json


def test_colour_only_where_it_is_wanted(process: Run, documents: Path) -> None:
    process("ingest", documents, "--into", "work/notes", "--embedder", "hashing")
    plain = process("query", "work/notes", "newborn child").out
    coloured = process("query", "work/notes", "newborn child", env={"FORCE_COLOR": "1", "TERM": "xterm-256color"}).out
    bold_only = process(
        "query", "work/notes", "newborn child", env={"FORCE_COLOR": "1", "NO_COLOR": "1", "TERM": "xterm-256color"}
    ).out
    assert "\x1b[" not in plain
    assert "\x1b[1mnewborn\x1b[0m" in coloured
    assert "\x1b[1mnewborn\x1b[0m" in bold_only
    assert "\x1b[1;36m" in coloured
    assert "36m" not in bold_only


def test_a_narrow_terminal_and_an_old_encoding_get_their_answer_too(process: Run, documents: Path) -> None:
    process("ingest", documents, "--into", "work/notes", "--embedder", "hashing")
    narrow = process("query", "work/notes", "newborn child", env={"COLUMNS": "40"})
    assert max(map(len, narrow.out.splitlines())) <= 40
    ascii_only = process("query", "work/notes", "newborn child", env={"PYTHONIOENCODING": "ascii"})
    assert (ascii_only.status, ascii_only.err) == (0, "")
    assert "page 1 of 1" in ascii_only.out
    assert process("stats", env={"PYTHONIOENCODING": "ascii"}).status == 0
    document = process("query", "work/notes", "newborn child", "--json", env={"PYTHONIOENCODING": "ascii"})
    assert document.json["total"] >= 1


def test_a_faq_row_stands_in_front_for_people(filled: Run, store: Path) -> None:
    with Store(store) as opened:
        index = QueryIndex(opened.bucket("work").index("notes"))
        index.add_faq([{"question": "How long is the leave for a newborn child?", "answer": "Eighteen weeks."}])
    done = filled("query", "work/notes", "how long is the leave for a newborn child")
    lines = done.out.splitlines()
    assert "»  Eighteen weeks." in lines
    assert lines.index("»  Eighteen weeks.") < next(n for n, line in enumerate(lines) if line.startswith("1. "))
    plain = filled("query", "work/notes", "how long is the leave for a newborn child", "--json").json
    assert [row["answer"] for row in plain["faqs"]] == ["Eighteen weeks."]
