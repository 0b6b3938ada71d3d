"""What stands in a store cannot speak to the terminal or the notebook that shows it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ragvec.engine.figures import Explanation, IndexStats, SearchStep, SegmentStats, TextStats
from ragvec.pipeline.documents import Document
from ragvec.pipeline.embedders.hashing import HashingEmbedder
from ragvec.pipeline.passages import EMBEDDER_PROPERTY
from ragvec.pipeline.run import Pipeline
from ragvec.store import Store

EVIL = "\x1b]0;owned\x07\x1b[31mferry\x9b2J\r\x08</pre><script>alert(1)</script>\u2028\x00"
CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")

SHOWING = [
    ("query", "work/notes", "ferry"),
    ("query", "work/notes", "ferry", "--passages"),
    ("stats",),
    ("stats", "work/plain"),
    ("indexes", "show", "work/plain"),
    ("indexes", "show", "work/notes"),
    ("indexes", "list", "work"),
    ("vectors", "list", "work/plain"),
    ("vectors", "list", "work/plain", "--data"),
    ("vectors", "get", "work/plain", EVIL),
    ("verify",),
]
REFUSED = [
    ("vectors", "get", "work/plain", EVIL + "x"),
    ("indexes", "show", f"work/{EVIL}"),
    ("buckets", "create", EVIL),
    ("query", "work/notes", "ferry", "--where", EVIL),
    ("vectors", "put", "work/plain", EVIL.replace("\x00", "")),
    ("ingest", EVIL.replace("\x00", ""), "--into", "work/notes"),
    ("import", EVIL.replace("\x00", ""), "--into", "work/new"),
    (EVIL,),
]


@pytest.fixture
def hostile(store: Path) -> Path:
    with Store(store) as opened:
        index = opened.bucket("work").index("notes")
        text = EVIL.replace("\x00", "")
        document = Document(
            id=text, text=f"The {text} timetable.", title=text, uri=text, attributes={text: text, "tags": [text]}
        )
        report = Pipeline(index=index, embedder=HashingEmbedder(dimension=16)).run([document], progress=False)
        assert report.added == 1
        plain = opened.bucket("work").create_index("plain", dimension=2, non_filterable=[text])
        plain.put([EVIL], [[1.0, 0.0]], [{EVIL: EVIL}])
        plain.set_property(EMBEDDER_PROPERTY, {"name": text, "dimension": 2})
    return store


@pytest.mark.parametrize("words", SHOWING + REFUSED, ids=[str(number) for number in range(len(SHOWING + REFUSED))])
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_no_command_prints_control_characters(
    hostile: Path, ragvec: Callable[..., Any], words: tuple[str, ...], form: tuple[str, ...]
) -> None:
    done = ragvec(*words, *form)
    for shown in (done.out, done.err):
        assert not CONTROLS.search(shown), ascii(shown)
    assert done.status == 0 if words in SHOWING else done.status


def test_figures_of_an_index_are_text_in_a_notebook() -> None:
    evil = "<script>alert(1)</script>"
    segment: Any = SegmentStats(
        first=0,
        last=1,
        backend=evil,
        recall_at_10=1.0,
        recall_at_100=1.0,
        bytes=1,
        build_seconds=0.1,
        leaves=1,
        width=2,
    )
    stats: Any = IndexStats(
        vectors=1,
        rows=1,
        tombstones=0,
        sequence=1,
        generation=0,
        dimension=2,
        metric=evil,  # type: ignore[arg-type]  # on purpose
        backend=evil,
        segments=(segment,),
        exact_rows=0,
        disk_bytes=1,
        recall_target=0.98,
        text=(TextStats(key=evil, language=evil, documents=1, tokens=1, terms=1, rows=1, bytes=1, status="READY"),),
    )
    step = SearchStep(name=evil, rows=1, candidates=1, microseconds=1.0, detail=evil)
    explanation = Explanation(k=1, rows=1, matches=1, effort=1.0, exact=True, recall=1.0, steps=(step,))
    for shown in (stats, explanation):
        page = shown._repr_html_()
        assert "<script" not in page
        assert "&lt;script&gt;" in page
