# mypy: disable-error-code="import-untyped"
"""The built documents, and the manifest of the whole data set."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path

from company import Record
from markdown_source import parse_markdown
from page_texts import read_csv, read_jsonl, text_of
from pdf_pages import build_pdf
from word_pages import build_docx

DESCRIPTION = (
    "The internal handbook of a made-up company, with attributes, restricted and superseded pages, "
    "questions with evidence and graded relevance, questions that nothing in it answers, and an FAQ."
)
BUILT_TYPES = ("docx", "pdf")
MERGED_FILES = ("attributes.jsonl", "faq.csv", "questions.jsonl", "unanswerable.jsonl")


def source_of(root: Path, attributes: Record) -> Path:
    """Return the path of the Markdown source of a Word or PDF document."""
    return root / "source" / f"{attributes['id']}.md"


def build_document(root: Path, attributes: Record) -> bytes:
    """Return the bytes of one Word or PDF document."""
    blocks = parse_markdown(source_of(root, attributes).read_text(encoding="utf-8"))
    build = build_docx if attributes["file_type"] == "docx" else build_pdf
    return build(blocks, attributes)


def make_manifest(root: Path) -> Record:
    """Count and hash what lies under ``root``."""
    attributes = read_jsonl(root / "attributes.jsonl")
    paths = sorted(record["path"] for record in attributes)
    faq = read_csv((root / "faq.csv").read_text(encoding="utf-8"))
    return {
        "name": "handbook",
        "description": DESCRIPTION,
        "licence": "CC BY 4.0",
        "source": "written for this project",
        "counts": {
            "documents": len(attributes),
            "by_file_type": dict(sorted(Counter(record["file_type"] for record in attributes).items())),
            "by_category": dict(sorted(Counter(record["category"] for record in attributes).items())),
            "words": sum(len(text_of(root / path).split()) for path in paths),
            "questions": len(read_jsonl(root / "questions.jsonl")),
            "unanswerable": len(read_jsonl(root / "unanswerable.jsonl")),
            "faq_rows": len(faq) - 1,
        },
        "files": {
            path: hashlib.sha256((root / path).read_bytes()).hexdigest() for path in sorted([*paths, *MERGED_FILES])
        },
    }


def build(root: Path) -> Record:
    """Build the Word and PDF documents and the manifest, and return the manifest."""
    for attributes in read_jsonl(root / "attributes.jsonl"):
        if attributes["file_type"] in BUILT_TYPES:
            path = root / attributes["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(build_document(root, attributes))
    manifest = make_manifest(root)
    text = json.dumps(manifest, ensure_ascii=False, indent=2) + "\n"
    (root / "manifest.json").write_text(text, encoding="utf-8", newline="\n")
    return manifest
