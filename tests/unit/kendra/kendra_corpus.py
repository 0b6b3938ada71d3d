"""A small query index filled by hand, as the pipeline fills one, and an embedder that needs no model."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ragvec.pipeline.passages import ATTRIBUTES_PROPERTY, BUILT_IN_TYPES, EMBEDDER_PROPERTY, NON_FILTERABLE, passage_key
from ragvec.store import Index, Store
from ragvec.text.words import words

DIMENSION = 96


class BagOfStems:
    """Texts that share stems are near; a text without words is the zero vector."""

    name = "bag-of-stems-96"
    dimension = DIMENSION

    def embed_documents(self, texts: Sequence[str]) -> Any:
        return np.stack([self.embed_query(text) for text in texts])

    def embed_query(self, text: str) -> Any:
        vector = np.zeros(DIMENSION, np.float32)
        for word in words(text):
            if word.term:
                digest = hashlib.sha256(word.term.encode()).digest()
                vector[digest[0] % DIMENSION] += 1 if digest[1] % 2 else -1
        norm = float(np.linalg.norm(vector))
        return vector / norm if norm else vector


def present(**members: Any) -> dict[str, Any]:
    """The members that are not None, as a request has them."""
    return {name: value for name, value in members.items() if value is not None}


def fill(
    store: Store,
    documents: Sequence[Mapping[str, Any]],
    *,
    types: Mapping[str, str] | None = None,
    name: str = "pages",
    bucket: str = "docs",
) -> Index:
    """An index of documents `{"id", "title", "text", ...attributes}`; passages are the paragraphs of the text."""
    index = store.create_bucket(bucket, exist_ok=True).create_index(
        name, dimension=DIMENSION, non_filterable=NON_FILTERABLE
    )
    embedder = BagOfStems()
    keys, vectors, metadata = [], [], []
    for document in documents:
        attributes = {k: v for k, v in document.items() if k not in ("id", "title", "text")}
        text = document.get("text", "")
        spans = [match.span() for match in re.finditer(r"\S(?:.|\n(?!\s*\n))*", text)] or [(0, 0)]
        for number, (begin, end) in enumerate(spans):
            title = document.get("title", "")
            keys.append(passage_key(document["id"], number))
            vector = embedder.embed_query(f"{title} {text[begin:end]}")
            vectors.append(vector if vector.any() else np.eye(DIMENSION, dtype=np.float32)[0])
            metadata.append(
                {
                    "_document_id": document["id"],
                    **({"_document_title": title} if title else {}),
                    **attributes,
                    "_passage": number,
                    "_passages": len(spans),
                    "_begin": begin,
                    "_end": end,
                    "_text": text[begin:end],
                    "_hash": hashlib.sha256(text.encode()).hexdigest(),
                }
            )
    if keys:
        index.put(keys, np.stack(vectors), metadata)
    index.set_property(EMBEDDER_PROPERTY, {"name": embedder.name, "dimension": DIMENSION})
    index.set_property(ATTRIBUTES_PROPERTY, {**BUILT_IN_TYPES, **(types or {})})
    return index


TYPES = {"department": "STRING_VALUE", "priority": "LONG_VALUE", "reviewed": "DATE_VALUE", "tags": "STRING_LIST_VALUE"}

FERRIES: list[dict[str, Any]] = [
    {
        "id": "deck/bicycles.md",
        "title": "Bicycles on Brightwater ferries",
        "text": "Every morning ferry has racks for 24 bicycles. The noon ferry takes 12 bicycles, since freight fills "
        "the rear deck. Cyclists board ahead of cars and strap the bicycle to the yellow rail.\n\n"
        "Tandems and cargo bicycles need a reservation by telephone on the day before.",
        "_source_uri": "https://ferry.example/handbook/bicycles",
        "_category": "deck",
        "_created_at": 1_650_000_000,
        "_view_count": 40,
        "_language_code": "en",
        "_authors": ["Ana", "Bo"],
        "department": "Operations",
        "priority": 2,
        "reviewed": 1_700_000_000,
        "tags": ["bicycle", "deck"],
    },
    {
        "id": "fares.md",
        "title": "Fares and passes",
        "text": "A day pass costs 9 crowns. Bring a bicycle for 3 crowns on any ferry, morning or evening.",
        "_source_uri": "https://ferry.example/handbook/fares",
        "_category": "ticketing",
        "_created_at": 1_660_000_000,
        "_view_count": 900,
        "_language_code": "en",
        "_authors": ["Bo"],
        "department": "Sales",
        "priority": 1,
        "reviewed": 1_710_000_000,
        "tags": ["fares", "bicycle"],
    },
    {
        "id": "crew/rota.md",
        "title": "Crew rota",
        "text": "The morning crew signs on at five. Swaps need the purser's consent.",
        "_category": "crew",
        "_created_at": 1_670_000_000,
        "_language_code": "en",
        "_acl_allow": ["group:crew", "user:purser"],
        "_acl_deny": ["user:mallory"],
        "department": "Operations",
        "tags": ["crew"],
    },
    {
        "id": "fahrrad.md",
        "title": "Fahrräder",
        "text": "Fahrräder fahren auf jeder Fähre mit. Ein bicycle kostet drei Kronen auf der ferry.",
        "_category": "deck",
        "_language_code": "de",
        "department": "Sales",
        "priority": 3,
    },
]
