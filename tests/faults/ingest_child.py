"""A run of the pipeline that kills itself at a call of its own code: python ingest_child.py STORE LOG POINT.

Prints the number of calls when it came to the end. LOG gets a line for each text that was embedded, before the embedder
returns. The corpus is fixed: new documents, and with `CHANGED` in the environment another edition of it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from ragvec.pipeline.chunk import StructureChunker
from ragvec.pipeline.documents import Document
from ragvec.pipeline.embedders import HashingEmbedder
from ragvec.pipeline.run import Pipeline
from ragvec.store import Store
from ragvec.types import FloatMatrix

WATCHED = (f"{os.sep}ragvec{os.sep}pipeline{os.sep}", f"{os.sep}ragvec{os.sep}engine{os.sep}")


class Logged(HashingEmbedder):
    """Writes down what it embeds."""

    cacheable = True

    def __init__(self, log: Path) -> None:
        super().__init__(16)
        self._log = log

    def embed_documents(self, texts: Sequence[str]) -> FloatMatrix:
        vectors = super().embed_documents(texts)
        with self._log.open("a") as file:
            file.write("".join(f"{json.dumps(text)}\n" for text in texts))
        return vectors


def corpus(*, changed: bool) -> list[Document]:
    """40 documents of about 30 passages, or what became of them: some gone, some renamed, some with other words."""
    documents = []
    for number in range(40):
        lines = [f"Passage {part} of document {number} says {part * number} once." for part in range(30)]
        name = f"{number:02}.txt"
        if changed and number % 5 == 0:
            continue
        if changed and number % 5 == 1:
            name = f"moved/{name}"
        if changed and number % 5 == 2:
            lines[7] = f"Passage 7 of document {number} was written anew."
            del lines[20:]
        documents.append(Document(id=name, text="\n\n".join(lines)))
    return documents


def pipeline(store: Store, log: Path) -> Pipeline:
    index = store.bucket("docs").index("pages")
    return Pipeline(index=index, embedder=Logged(log), chunker=StructureChunker(max_tokens=14, overlap=0))


class Killer:
    """Counts calls of the watched code in all threads, and kills the process at one of them."""

    def __init__(self, point: int) -> None:
        self.calls = 0
        self._point = point

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and any(part in frame.f_code.co_filename for part in WATCHED):
            self.calls += 1
            if self.calls == self._point:
                os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    store_folder, log, point = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    killer = Killer(point)
    with Store(store_folder) as store:
        made = pipeline(store, log)
        documents = corpus(changed="CHANGED" in os.environ)
        threading.setprofile(killer)
        sys.setprofile(killer)
        made.run(documents, remove_missing=True, progress=False)
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
    print(killer.calls)


if __name__ == "__main__":
    main()
