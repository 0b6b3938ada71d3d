"""What the report and the progress say."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading

import pytest

from ragvec.pipeline.documents import Failure
from ragvec.pipeline.progress import Progress
from ragvec.pipeline.report import Report

REPORT = Report(
    documents=12,
    added=3,
    replaced=2,
    unchanged=7,
    removed=1,
    chunks=1040,
    embedded=1000,
    failed=(Failure("bad.pdf", "Expected a PDF document", "bad.pdf"),),
    notes=(("a", "decoded as cp1250, a guess"), ("b", "decoded as cp1250, a guess")),
    seconds={"load": 0.5, "chunk": 0.25, "embed": 10.0, "write": 0.05},
    total_seconds=11.0,
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_report_reads_well() -> None:
    assert str(REPORT) == (
        "documents        12   added 3, replaced 2, unchanged 7, removed 1, failed 1\n"
        "chunks        1,040   embedded 1,000 at 100.0 a second\n"
        "seconds        11.0   load 0.5, chunk 0.2, embed 10.0, write 0.1\n"
        "failed    bad.pdf: Expected a PDF document\n"
        "note      decoded as cp1250, a guess (2 times)"
    )


def test_its_repr_is_one_line() -> None:
    assert repr(REPORT) == "<Report: 12 documents, 1,040 chunks written, 1 failed, 11.0 s>"


def test_a_notebook_shows_tables_in_which_nothing_runs() -> None:
    shown = Report(documents=3, failed=(Failure("a<b>.txt", "<i>"),), notes=(("a", "<n>"),))._repr_html_()
    assert "a&lt;b&gt;.txt</td>" in shown
    assert "&lt;i&gt;</td>" in shown
    assert "note: &lt;n&gt;" in shown
    assert "<details open><summary>1 failed" in shown


def test_a_notebook_folds_many_failures_and_lists_a_page_of_them() -> None:
    shown = Report(failed=tuple(Failure(f"{number}.txt", "empty") for number in range(250)))._repr_html_()
    assert "<details><summary>250 failed" in shown
    assert shown.count("<td") == 3 * 2 + 200 * 2
    assert "and 50 more" in shown


def test_failures_of_one_reason_share_a_line() -> None:
    report = Report(failed=tuple(Failure(f"{number}.txt", "empty") for number in range(14)))
    assert str(report).splitlines()[3:] == ["failed    0.txt, 1.txt, 2.txt, 3.txt, 4.txt and 9 more: empty"]
    assert report.rate == 0.0


def test_failures_of_many_reasons_are_counted() -> None:
    report = Report(failed=tuple(Failure(f"{number}.txt", f"reason {number // 2}") for number in range(24)))
    shown = str(report).splitlines()
    assert shown[3] == "failed    0.txt, 1.txt: reason 0"
    assert shown[-2:] == ["failed    18.txt, 19.txt: reason 9", "failed    and 4 more: see .failed"]
    assert report.lines(failures=None)[-1] == "failed    22.txt, 23.txt: reason 11"


def test_the_report_as_a_frame() -> None:
    pytest.importorskip("pandas")
    (row,) = REPORT.to_pandas().to_dict("records")
    assert (row["documents"], row["failed"], row["embed_seconds"], row["total_seconds"]) == (12, 1, 10.0, 11.0)


def test_a_log_gets_one_line_a_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    progress = Progress(shown=True, total=3)
    progress.documents(2)
    progress.embedded(7)
    assert log.getvalue() == ""
    progress.finish(["load 1 s", "embed 2 s"])
    assert log.getvalue() == "load 1 s\nembed 2 s\n"


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    progress = Progress(shown=True, total=3)
    progress.embedded(1234)
    progress.documents(3)
    progress.finish(["load 1 s"])
    shown = terminal.getvalue()
    assert "3/3 documents, 1,234 chunks embedded" in shown
    assert "1,234 chunks embedded" in shown
    assert "load 1 s" not in shown


def test_a_bar_without_a_total_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    progress = Progress(shown=True)
    progress.documents(3)
    progress.finish([])
    assert "ingest: 3 documents [" in terminal.getvalue()


def test_a_bar_that_is_closed_leaves_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    progress = Progress(shown=True, total=1)
    assert "ragvec-progress" in {thread.name for thread in threading.enumerate()}
    progress.close()
    progress.close()
    assert "ragvec-progress" not in {thread.name for thread in threading.enumerate()}


def test_silence_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    progress = Progress(shown=False)
    progress.documents(3)
    progress.embedded(3)
    progress.finish(["load 1 s"])
    assert terminal.getvalue() == ""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_a_terminal_without_a_size_gets_a_bar_too() -> None:
    import pty

    code = (
        "from ragvec.pipeline.progress import Progress; "
        "bar = Progress(shown=True, total=2); bar.documents(2); bar.finish([])"
    )
    here, there = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", code], stdin=there, stdout=there, stderr=there) as child:
        os.close(there)
        shown = b""
        try:
            while piece := os.read(here, 4096):
                shown += piece
        except OSError:  # Linux says so at the end of a pseudo-terminal
            pass
        finally:
            os.close(here)
    assert child.returncode == 0
    assert b"2/2" in shown
