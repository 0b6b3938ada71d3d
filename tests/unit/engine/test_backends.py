"""The choice of the library behind the segments, and stores that are opened with another than before."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ragvec
from ragvec.ann.backends import available_backend
from ragvec.errors import InvalidRequest, MissingExtra
from ragvec.extras import available

ROWS, DIMENSION = 9000, 8
both = pytest.mark.skipif(not (available("scann") and available("faiss")), reason="needs ScaNN and faiss")
QUERIES = np.random.default_rng(1).normal(size=(20, DIMENSION)).astype(np.float32)


def vectors() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(ROWS, DIMENSION)).astype(np.float32)


def folders(path: Path) -> list[str]:
    return [found.name for found in sorted(path.glob("**/segments/*")) if found.is_dir()]


def made(path: Path, backend: str) -> list[list[str]]:
    """A store with one segment by `backend`; the keys it finds."""
    with ragvec.Store(path, backend=backend) as store:
        index = store.create_bucket("bucket").create_index("index", dimension=DIMENSION)
        index.put([str(n) for n in range(ROWS)], vectors())
        index.optimize()
        stats = index.stats()
        assert stats.backend == backend
        assert [segment.backend for segment in stats.segments] == ([] if backend == "exact" else [backend])
        assert stats.exact_rows == (ROWS if backend == "exact" else 0)
        return [index.query(query, k=10).keys for query in QUERIES]


def truth() -> list[list[str]]:
    rows = vectors().astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return [[str(at) for at in np.argsort(-(rows @ query), kind="stable")[:10]] for query in QUERIES]


@pytest.mark.parametrize(
    "name",
    [
        "exact",
        *(
            pytest.param(name, marks=pytest.mark.skipif(not available(name), reason=f"{name} is not installed"))
            for name in ("scann", "faiss")
        ),
    ],
)
def test_a_store_uses_the_backend_that_is_named(tmp_path: Path, name: str) -> None:
    found = made(tmp_path / "store", name)
    hits = [len(set(one) & set(other)) / 10 for one, other in zip(found, truth(), strict=True)]
    assert np.mean(hits) >= (1.0 if name == "exact" else 0.95)
    client = ragvec.connect(tmp_path / "store", backend=name)
    hits_by_client = client.query_vectors(
        vectorBucketName="bucket", indexName="index", queryVector={"float32": QUERIES[0].tolist()}, topK=10
    )
    assert [hit["key"] for hit in hits_by_client["vectors"]] == found[0]


@both
@pytest.mark.parametrize(("first", "second"), [("scann", "faiss"), ("faiss", "scann")])
def test_segments_of_another_backend_are_replaced_by_the_next_build(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, first: str, second: str
) -> None:
    made(tmp_path / "store", first)
    with (
        caplog.at_level(logging.INFO, logger="ragvec"),
        ragvec.Store(tmp_path / "store", read_only=True, backend=second) as store,
    ):
        index = store.bucket("bucket").index("index")
        assert [index.query(query, k=10).keys for query in QUERIES] == truth()
        stats = index.stats()
        assert (stats.backend, stats.segments, stats.exact_rows) == (second, (), ROWS)
    told = [record for record in caplog.records if f"A segment by {first} is not for {second}" in record.message]
    assert len(told) == 1
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []
    assert len(folders(tmp_path / "store")) == 1
    with ragvec.Store(tmp_path / "store", backend=second) as store:
        index = store.bucket("bucket").index("index")
        index.optimize()
        stats = index.stats()
        assert [(segment.backend, segment.first, segment.last) for segment in stats.segments] == [(second, 0, ROWS)]
    assert len(folders(tmp_path / "store")) == 1


@both
def test_without_a_name_scann_is_preferred() -> None:
    chosen = available_backend()
    assert chosen is not None
    assert chosen.name == "scann"
    assert available_backend("exact") is None


def test_an_unknown_backend_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidRequest, match="Expected a backend of `scann`, `faiss` and `exact`, got `annoy`: leave it out"
    ) as caught:
        ragvec.Store(tmp_path / "store", backend="annoy")
    assert caught.value.path == "backend"
    with pytest.raises(InvalidRequest, match="an engine has one already"):
        ragvec.Store(engine=object(), backend="faiss")  # type: ignore[arg-type]  # it is not looked at
    assert not (tmp_path / "store").exists()


ABSENT = """
import sys
for name in sys.argv[2:]:
    sys.modules[name] = None  # what an absent package looks like to the import system
import ragvec
from ragvec.ann.backends import available_backend
backend = available_backend()
print("exact" if backend is None else backend.name)
for name in sys.argv[2:]:
    try:
        ragvec.Store(sys.argv[1], backend=name)
    except ImportError as error:
        print(f"{type(error).__name__}: {error}")
"""


@both
@pytest.mark.parametrize(
    ("absent", "chosen"), [((), "scann"), (("scann",), "faiss"), (("faiss",), "scann"), (("scann", "faiss"), "exact")]
)
def test_what_is_not_installed_is_not_chosen_and_says_how_to_get_it(
    tmp_path: Path, absent: tuple[str, ...], chosen: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ABSENT, str(tmp_path / "store"), *absent], capture_output=True, text=True, check=True
    )
    first, *errors = done.stdout.splitlines()
    assert first == chosen
    assert len(errors) == len(absent)
    for name, error in zip(absent, errors, strict=True):
        assert error.startswith(f"{MissingExtra.__name__}: The backend `{name}`"), error
        assert error.endswith(f"pip install 'ragvec[{name}]'"), error
    assert done.stderr == ""
