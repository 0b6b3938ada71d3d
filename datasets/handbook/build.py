# mypy: disable-error-code="import-untyped"
"""Build and check the handbook data set.

The documents in Markdown, HTML, plain text and CSV are kept as they are. The Word and PDF documents are built from the
Markdown files under ``source/``; ``attributes.jsonl`` says which of the two a source becomes. After that
``manifest.json`` is written anew. The same sources give the same bytes, whenever and however often this runs.

    python datasets/handbook/build.py            build the Word and PDF documents and the manifest
    python datasets/handbook/build.py --check    change nothing, report what is wrong, exit 1 if anything is

Needs python-docx, reportlab, pypdf and beautifulsoup4.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from checks import check
from manifest import build

ROOT = Path(__file__).resolve().parent


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(description="Build or check the handbook data set.")
    parser.add_argument("--check", action="store_true", help="change nothing, report what is wrong")
    parser.add_argument("--root", type=Path, default=ROOT, help="folder of the data set (default: that of this file)")
    options = parser.parse_args(arguments)
    if options.check:
        problems = check(options.root)
        print(*problems, sep="\n", end="\n" if problems else "")
        print(f"{len(problems)} problems" if problems else "no problems")
        return 1 if problems else 0
    print(json.dumps(build(options.root)["counts"], indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
