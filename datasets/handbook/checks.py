# mypy: disable-error-code="import-untyped"
"""What the data set promises, checked."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from company import Record
from manifest import BUILT_TYPES, MERGED_FILES, build_document, make_manifest, source_of
from page_texts import collapse, read_csv, read_jsonl, text_of, text_of_docx, text_of_pdf

FILE_TYPES = ("csv", "docx", "html", "md", "pdf", "txt")
ACCESS_GROUPS = {"people-team", "managers", "finance", "security", "engineering", "executives"}
DEPARTMENTS = {
    "People", "Finance", "Engineering", "Security", "IT", "Product",
    "Quality", "Field Service", "Support", "Legal", "Facilities",
}  # fmt: skip
KINDS = {"fact", "how-to", "numeric", "comparison", "date", "policy", "paraphrase", "exception"}
ATTRIBUTE_FIELDS = {
    "id", "path", "title", "category", "department", "authors", "created_at", "last_updated_at",
    "file_type", "view_count", "version", "access_groups", "superseded_by", "near_duplicate_of",
}  # fmt: skip
QUESTION_FIELDS = {"id", "question", "answer", "evidence", "relevance", "kind"}
UNANSWERABLE_FIELDS = {"id", "question", "kind", "why"}
UNANSWERABLE_KINDS = {"near", "apart"}
FAQ_FIELDS = ["_question", "_answer", "_category", "_source_uri", "department"]

FIRST_DAY, LAST_DAY = date(2020, 2, 1), date(2026, 9, 30)
WORDS = (200, 1200)
CSV_ROWS = (15, 60)
EVIDENCE_CHARACTERS = (40, 300)


def check(root: Path) -> list[str]:
    """Return what is wrong with the data set, an empty list if nothing is."""
    needed = [*MERGED_FILES, "manifest.json"]
    problems = [f"{name}: missing" for name in needed if not (root / name).is_file()]
    if problems:
        return problems
    documents = read_jsonl(root / "attributes.jsonl")
    questions = read_jsonl(root / "questions.jsonl")
    problems += _check_attributes(root, documents)
    problems += _check_files(root, documents)
    if problems:
        return problems  # the texts cannot be relied on
    texts = {record["id"]: text_of(root / record["path"]) for record in documents}
    problems += _check_texts(root, documents, texts)
    problems += _check_questions(questions, texts)
    problems += _check_unanswerable(read_jsonl(root / "unanswerable.jsonl"), questions)
    problems += _check_faq(read_csv((root / "faq.csv").read_text(encoding="utf-8")), texts)
    written = json.loads((root / "manifest.json").read_text(encoding="utf-8"))
    current = make_manifest(root)
    for name in sorted({*written, *current}):
        if written.get(name) != current.get(name):
            problems.append(f"manifest.json: {name} is not up to date")
    return problems


def _repeated(names: list[str]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1)


def _check_attributes(root: Path, documents: list[Record]) -> Iterator[str]:
    names = [str(record.get("id")) for record in documents]
    yield from (f"{name}: the id is used more than once" for name in _repeated(names))
    if names != sorted(names):
        yield "attributes.jsonl: not sorted by id"
    for record, name in zip(documents, names, strict=True):
        if set(record) != ATTRIBUTE_FIELDS:
            yield f"{name}: fields differ from the list: {sorted(set(record) ^ ATTRIBUTE_FIELDS)}"
            continue
        if record["file_type"] not in FILE_TYPES:
            yield f"{name}: unknown file type {record['file_type']}"
        if record["path"] != f"documents/{name}.{record['file_type']}" or record["category"] != name.split("/")[0]:
            yield f"{name}: path, category, file type and id do not agree"
        if record["department"] not in DEPARTMENTS:
            yield f"{name}: unknown department {record['department']}"
        if not record["authors"]:
            yield f"{name}: no author"
        if unknown := set(record["access_groups"]) - ACCESS_GROUPS:
            yield f"{name}: unknown access groups {sorted(unknown)}"
        if not FIRST_DAY <= date.fromisoformat(record["created_at"]) <= date.fromisoformat(
            record["last_updated_at"]
        ) <= LAST_DAY:  # fmt: skip
            yield f"{name}: the dates are out of range or in the wrong order"
        if not 3 <= record["view_count"] <= 25_000:
            yield f"{name}: view count {record['view_count']}"
        for field in ("superseded_by", "near_duplicate_of"):
            if record[field] is not None and (record[field] not in names or record[field] == name):
                yield f"{name}: {field} names {record[field]}, which is not another document"
        if not (root / record["path"]).is_file():
            yield f"{name}: {record['path']} is missing"
        if record["file_type"] in BUILT_TYPES and not source_of(root, record).is_file():
            yield f"{name}: no source"


def _check_files(root: Path, documents: list[Record]) -> Iterator[str]:
    known = {root / str(record.get("path")) for record in documents}
    known |= {source_of(root, record) for record in documents if record.get("file_type") in BUILT_TYPES}
    for folder in ("documents", "source"):
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and path not in known:
                yield f"{path.relative_to(root)}: not named in attributes.jsonl"


def _check_texts(root: Path, documents: list[Record], texts: dict[str, str]) -> Iterator[str]:
    for record in documents:
        name, path = record["id"], root / record["path"]
        words = len(texts[name].split())
        if not WORDS[0] <= words <= WORDS[1]:
            yield f"{name}: {words} words"
        if record["file_type"] == "csv":
            rows = read_csv(path.read_text(encoding="utf-8"))
            if len({len(row) for row in rows}) != 1:
                yield f"{name}: rows of different length"
            if not CSV_ROWS[0] <= len(rows) - 1 <= CSV_ROWS[1]:
                yield f"{name}: {len(rows) - 1} rows"
        if record["file_type"] == "md" and not path.read_text(encoding="utf-8").startswith("# "):
            yield f"{name}: does not start with a title"
        if record["file_type"] in BUILT_TYPES:
            data = build_document(root, record)
            fresh = text_of_docx(data) if record["file_type"] == "docx" else text_of_pdf(data)
            if collapse(fresh) != texts[name]:
                yield f"{name}: the file does not agree with its source; build again"


def _check_questions(questions: list[Record], texts: dict[str, str]) -> Iterator[str]:
    names = [str(record.get("id")) for record in questions]
    yield from (f"question {name}: the id is used more than once" for name in _repeated(names))
    asked = [collapse(record["question"]).lower() for record in questions]
    yield from (f"question asked twice: {text}" for text in _repeated(asked))
    for record, name in zip(questions, names, strict=True):
        if set(record) != QUESTION_FIELDS:
            yield f"question {name}: fields differ from the list: {sorted(set(record) ^ QUESTION_FIELDS)}"
            continue
        if record["kind"] not in KINDS:
            yield f"question {name}: unknown kind {record['kind']}"
        if not record["question"].strip() or not record["answer"].strip():
            yield f"question {name}: empty question or answer"
        if not record["evidence"]:
            yield f"question {name}: no evidence"
        for document, grade in record["relevance"].items():
            if document not in texts:
                yield f"question {name}: relevance of an unknown document {document}"
            if grade not in (1, 2, 3):
                yield f"question {name}: grade {grade}"
        if max(record["relevance"].values(), default=0) < 2:
            yield f"question {name}: no document answers it"
        for evidence in record["evidence"]:
            document, text = evidence["document"], collapse(evidence["text"])
            if not EVIDENCE_CHARACTERS[0] <= len(text) <= EVIDENCE_CHARACTERS[1]:
                yield f"question {name}: evidence of {len(text)} characters"
            if document not in texts:
                yield f"question {name}: evidence in an unknown document {document}"
            elif text not in texts[document]:
                yield f"question {name}: not found in {document}: {text}"
            if record["relevance"].get(document, 0) < 2:
                yield f"question {name}: evidence in {document}, which is not graded 2 or 3"


def _check_unanswerable(rows: list[Record], questions: list[Record]) -> Iterator[str]:
    names = [str(record.get("id")) for record in (*rows, *questions)]
    yield from (f"question {name}: the id is used more than once" for name in _repeated(names))
    asked = [collapse(str(record.get("question"))).lower() for record in (*rows, *questions)]
    yield from (f"question asked twice: {text}" for text in _repeated(asked))
    for record in rows:
        name = str(record.get("id"))
        if set(record) != UNANSWERABLE_FIELDS:
            yield f"question {name}: fields differ from the list: {sorted(set(record) ^ UNANSWERABLE_FIELDS)}"
        elif not all(isinstance(value, str) and value.strip() for value in record.values()):
            yield f"question {name}: an empty field"
        elif record["kind"] not in UNANSWERABLE_KINDS:
            yield f"question {name}: unknown kind {record['kind']}"
    near = sum(record.get("kind") == "near" for record in rows)
    if 2 * near < len(rows):
        yield f"unanswerable.jsonl: {near} of {len(rows)} are near, fewer than half"


def _check_faq(rows: list[list[str]], texts: dict[str, str]) -> Iterator[str]:
    if not rows or rows[0] != FAQ_FIELDS:
        yield "faq.csv: the header is not as agreed"
        return
    yield from (f"faq.csv: asked twice: {text}" for text in _repeated([row[0] for row in rows[1:] if row]))
    for number, row in enumerate(rows[1:], start=1):
        if len(row) != len(FAQ_FIELDS) or not all(row):
            yield f"faq.csv row {number}: not five filled fields"
            continue
        question, answer, category, uri, department = row
        if len(question) > 300 or len(answer) > 2000:
            yield f"faq.csv row {number}: too long"
        if uri.removeprefix("handbook/") not in texts or not uri.startswith(f"handbook/{category}/"):
            yield f"faq.csv row {number}: {uri} is not a document of the category {category}"
        if department not in DEPARTMENTS:
            yield f"faq.csv row {number}: unknown department {department}"
