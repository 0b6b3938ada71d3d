"""Which systems are asked which questions of which collections, in the quick form and in the full one."""

from __future__ import annotations

import msgspec

from benchmarks.systems import SYSTEMS

__all__ = ["FULL", "QUESTIONS", "QUICK", "Form", "Job", "jobs"]

QUESTIONS = ("curves", "filtered", "writes", "pages", "small", "inserts")


class Form(msgspec.Struct, frozen=True):
    """How many queries, for how many seconds, and the limits of one process in seconds."""

    name: str
    full: bool
    queries: int
    seconds: float
    filtered_queries: int
    filtered_seconds: float
    writing_seconds: float
    pages: int
    inserts: int
    inserting_seconds: float
    limit: float
    building_limit: float


QUICK = Form(
    name="quick",
    full=False,
    queries=300,
    seconds=6,
    filtered_queries=60,
    filtered_seconds=0.6,
    writing_seconds=8,
    pages=8,
    inserts=20_000,
    inserting_seconds=6,
    limit=300,
    building_limit=900,
)
FULL = Form(
    name="full",
    full=True,
    queries=1000,
    seconds=40,
    filtered_queries=200,
    filtered_seconds=4,
    writing_seconds=60,
    pages=50,
    inserts=116_500,
    inserting_seconds=120,
    limit=3600,
    building_limit=10_800,
)


class Job(msgspec.Struct, frozen=True):
    """One question to one system about one collection."""

    question: str
    data: str
    system: str


LIBRARIES = tuple(name for name, entry in SYSTEMS.items() if entry.group == "library")
PRODUCTS = tuple(name for name, entry in SYSTEMS.items() if entry.group == "product")
FILTERING = tuple(name for name, entry in SYSTEMS.items() if entry.filters)
WRITING = tuple(name for name, entry in SYSTEMS.items() if entry.writes)
QUICK_MILLION = ("ragvec", "scann", "scann-pca128", "hnswlib", "faiss-hnsw")
WIDE = ("ragvec", "scann-pca192", "faiss-hnsw")
FULL_ONLY = ("langchain",)
"""LangChain's store takes a minute to load 117,000 rows, and seconds for a query: the quick form has it only in small
collections."""


def jobs(form: Form) -> list[Job]:
    """Everything of this form, in the order in which it runs."""
    full = form.full
    slow = {name for name, entry in SYSTEMS.items() if entry.slow and not full}
    left_out = set() if full else set(FULL_ONLY)
    found = [Job("curves", "real", name) for name in (*LIBRARIES, *PRODUCTS) if name not in left_out]
    found += [Job("curves", "million", name) for name in (LIBRARIES if full else QUICK_MILLION)]
    found += [Job("curves", "wide", name) for name in (LIBRARIES if full else WIDE)]
    found += [Job("filtered", "real", name) for name in FILTERING if name not in left_out]
    found += [Job("filtered", "million", "ragvec")]
    if full:
        every = [name for name in PRODUCTS if name not in (*FULL_ONLY, "qdrant")]
        found += [Job("curves", "million", name) for name in every]
        found += [Job("filtered", "million", name) for name in every]
    found += [Job("writes", "real", name) for name in ("ragvec", "ragvec+process", *WRITING[1:]) if name not in slow]
    found += [Job("pages", "million", "ragvec")]
    found += [Job("small", "real", name) for name in ("ragvec", *PRODUCTS)]
    found += [Job("inserts", "real", name) for name in PRODUCTS]
    return found
