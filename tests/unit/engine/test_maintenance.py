"""The background thread: what it survives, and what others wait for."""

from __future__ import annotations

import threading

import pytest

from ragvec.engine.local.maintenance import Maintenance
from ragvec.engine.local.merging import Lane
from ragvec.engine.local.upkeep import Worker


class _Work:
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.done = 0

    def maintenance_due(self, lane: Lane) -> bool:
        return True

    def maintain(self, lane: Lane, *, worker: Worker | None) -> None:
        if self.error is not None:
            raise self.error
        self.done += 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_unforeseen_error_ends_the_thread_but_not_the_work() -> None:
    maintenance, good = Maintenance("tail"), _Work()
    maintenance.consider(_Work(RuntimeError("a library gave up")))
    maintenance.settle()
    maintenance.consider(good)
    maintenance.settle()
    assert good.done == 1


def test_a_write_succeeds_where_no_thread_can_be_started(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    maintenance, work = Maintenance("tail"), _Work()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        maintenance.consider(work)
        maintenance.settle()
        maintenance.stop()
    assert "Segments are not built for now: can't start new thread" in caplog.text
    maintenance.consider(work)
    maintenance.settle()
    assert work.done == 1
