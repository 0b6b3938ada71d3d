"""A small index filled by the pipeline, a hostile document and restricted ones among its documents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import ragvec
from ragvec.pipeline.documents import Document
from ragvec.store import Index, Store

HOSTILE = "<img src=x onerror=\"alert('x')\"><script>alert('y')</script>"
SECRET = "project-bluefin"

DOCUMENTS = [
    Document(
        id=f"route-{number:02}",
        title=f"Ferry route {number}",
        text=f"Route {number} carries bicycles from pier {number}. The crossing takes {20 + number} minutes.\n\n"
        "Passengers with bicycles board first.",
        attributes={
            "department": ("Operations", "Sales", "Safety")[number % 3],
            "priority": number % 5,
            "_last_updated_at": f"{2023 + number % 3}-05-04",
            "tags": ["bicycle", "pier"] if number % 2 else ["pier"],
            "open": number % 2 == 0,
        },
    )
    for number in range(1, 25)
] + [
    Document(
        id="hostile",
        title=f"Strange {HOSTILE}",
        text=f"A parrot sat on the bridge. {HOSTILE} It said nothing.",
        uri="javascript:alert(1)",
        attributes={"department": HOSTILE, "priority": 1},
    ),
    Document(
        id="budget",
        title="The secret budget",
        text="The secret budget of the bluefin project is nine million crowns.",
        attributes={"department": SECRET, "_acl_allow": ["group:board"]},
    ),
]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store", backend="exact") as store:
        yield store


@pytest.fixture
def index(store: Store) -> Index:
    index = store.bucket("docs").index("ferries")
    report = ragvec.Pipeline(index=index, embedder="hashing:128").run(DOCUMENTS, progress=False)
    assert not report.failed, report.failed
    return index
