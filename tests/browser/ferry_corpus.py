"""A small index for the tests of the widgets: documents of a made-up ferry company, one of them hostile."""

from __future__ import annotations

from pathlib import Path

import ragvec
from ragvec.pipeline.documents import Document

HOSTILE = "<img src=x onerror=\"document.title='hacked'\"><script>document.title='hacked'</script>"


def documents() -> list[Document]:
    """Twenty-six documents of three departments."""
    made = [
        Document(
            id=f"route-{number:02}",
            title=f"Ferry route {number}",
            text=f"Route {number} carries bicycles and cars from pier {number} to the island. "
            f"The morning crossing takes {20 + number} minutes.\n\n"
            "Passengers with bicycles board first and strap them to the yellow rail.",
            attributes={"department": ("Operations", "Sales", "Safety")[number % 3], "priority": number % 5},
        )
        for number in range(1, 25)
    ]
    made.append(
        Document(
            id="hostile",
            title=f"Strange {HOSTILE}",
            text=f"A parrot sat on the bridge. {HOSTILE} It said nothing of bicycles.",
            attributes={"department": HOSTILE, "priority": 1},
        )
    )
    made.append(
        Document(
            id="lifejackets",
            title="Where the lifejackets are",
            text="Lifejackets are kept in the lockers under the stairs of deck two. Every locker holds forty of them.",
            attributes={"department": "Safety", "priority": 4},
        )
    )
    return made


def filled_store(path: Path) -> Path:
    """A store with the documents in `docs/ferries`, closed again."""
    with ragvec.Store(path, backend="exact") as store:
        pipeline = ragvec.Pipeline(index=store.bucket("docs").index("ferries"), embedder="hashing:128")
        report = pipeline.run(documents(), progress=False)
        assert not report.failed
    return path
