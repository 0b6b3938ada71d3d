"""Many processes and threads on one store, judged by what they saw; and races of two of them, one at a time."""

from __future__ import annotations

from pathlib import Path

import pytest
from local_store import ROWS, filled

from ragvec.engine.local.engine import LocalEngine
from ragvec.engine.protocol import IndexSpec
from ragvec.errors import StoreFull
from ragvec.store import Store
from tests.torture import processes


def test_what_sixteen_threads_in_four_processes_see_is_linearizable(tmp_path: Path) -> None:
    figures = processes.run(rounds=2, seed=20, folder=tmp_path, operations=50, kills=2)
    assert int(figures["operations"]) > 2 * 16 * 50
    assert figures["kills"] == 4
    assert float(figures["recall"]) > 0.9
    assert min(int(figures[name]) for name in ("compactions", "segments", "not found")) > 0


def test_an_index_deleted_by_another_process_while_it_is_made_was_made(tmp_path: Path) -> None:
    store, other = filled(tmp_path / "store")[0], Store(tmp_path / "store")
    make = store.engine.catalog._on_create  # type: ignore[attr-defined]  # a LocalCatalog

    def deleted_first(spec: IndexSpec) -> None:
        other.bucket("bucket").index(spec.name).delete_index()
        make(spec)

    store.engine.catalog._on_create = deleted_first  # type: ignore[attr-defined]
    index = store.bucket("bucket").create_index("second", dimension=2)
    assert not index.exists()
    store.close()
    other.close()


def test_an_index_that_could_not_be_made_does_not_take_a_later_one_of_its_name_along(tmp_path: Path) -> None:
    store, other = filled(tmp_path / "store")[0], Store(tmp_path / "store")
    made: list[str] = []

    def replaced_first(spec: IndexSpec) -> None:
        bucket = other.bucket("bucket")
        bucket.index(spec.name).delete_index()
        made.append(bucket.create_index(spec.name, dimension=2).uid)
        raise StoreFull("No space left")

    store.engine.catalog._on_create = replaced_first  # type: ignore[attr-defined]
    assert store.bucket("bucket").create_index("second", dimension=2).uid == made[0]
    store.close()
    other.close()


def test_posting_lists_of_a_generation_that_was_compacted_meanwhile_are_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ragvec.engine.local.jobs import Job
    from ragvec.engine.local.posting_feed import PostingFeed

    defaults = PostingFeed.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "block_rows", 8)
    store, index = filled(tmp_path / "store")
    index.delete([f"k{n}" for n in range(40)])

    class Beside:
        """Where a worker process writes posting lists, while another process compacts."""

        def suits(self, job: Job) -> bool:
            return job.kind == "postings"

        def run(self, job: Job, *, ready: object) -> bool:
            with Store(tmp_path / "store") as other:
                other.bucket("bucket").index("index").compact()
            return True

    with LocalEngine(tmp_path / "store", background=False) as engine:
        handle = engine.index(index.spec)
        handle.maintain("tail", worker=Beside())
        assert handle.stats().generation == 1
        assert handle.count() == ROWS - 40
    store.close()
