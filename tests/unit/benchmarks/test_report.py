from __future__ import annotations

import pytest

from benchmarks.filtered import LABELS
from benchmarks.goals import goals
from benchmarks.plan import FULL, QUICK, jobs
from benchmarks.report import markdown, report
from benchmarks.small import SIZES
from benchmarks.systems import SYSTEMS


def answer(result):
    return {"version": "1.0", "measured": "2026-01-01T00:00:00", "result": result}


def curve(*points, memory=100e6, build=10.0):
    line = [
        {"setting": at, "recall": recall, "rate": rate, "p50": 1e3 / rate, "p99": 2e3 / rate}
        for at, (recall, rate) in enumerate(points)
    ]
    return answer(
        {
            "points": line,
            "all": line,
            "built": {"insert": 1.0, "build": build, "peak": 2 * memory, "disk": 3 * memory},
            "resident": {"anonymous": memory, "files": 5e6},
            "first": 0.4,
        }
    )


def filters(rate, recall=1.0):
    one = {"rate": rate, "recall": recall, "p50": 1e3 / rate, "p99": 2e3 / rate}
    return answer({"filters": dict.fromkeys(LABELS, one)})


@pytest.fixture
def answers():
    quiet = {"p50": 0.1, "p99": 0.2, "recall": 0.99}
    return {
        ("curves", "real"): {
            "ragvec": curve((0.97, 9000), (0.99, 6000), memory=20e6),
            "hnswlib": curve((0.97, 6000), (0.99, 3000), memory=200e6, build=40.0),
            "faiss-hnsw": {"version": None, "measured": "2026-01-02T00:00:00", "failed": "not installed"},
            "ragvec-client": curve((0.99, 3000)),
            "lancedb": curve((0.95, 400)),
            "sqlite-vec": curve((1.0, 20)),
        },
        ("filtered", "real"): {"ragvec": filters(2000), "lancedb": filters(500, 0.7), "sqlite-vec": filters(20)},
        ("small", "real"): {"ragvec": answer({"sizes": {str(size): quiet for size in SIZES}})},
        ("writes", "real"): {
            "ragvec+process": answer({"quiet": quiet, "busy": {**quiet, "p50": 0.13}, "writes": 990.0, "parts": [1, 2]})
        },
    }


def test_the_report_holds_every_system_and_says_why_one_is_missing(answers):
    text = report("quick", answers)
    assert "No figures for faiss-hnsw: not installed." in text
    assert "measured 2026-01-01T00:00:00 to 2026-01-02T00:00:00" in text
    assert "| sqlite-vec " in text
    assert "ragvec, writer apart" in text
    assert "1 → 2" in text


def test_ratios_are_taken_at_equal_recall_with_the_best_peer_that_reaches_it(answers):
    found = {line[0]: line[1:] for line in goals(answers)}
    ours, theirs, ratio = found["real, q/s at 0.98, the best graph: ≥ 1.2"]
    assert ours == f"{(9000 * 6000) ** 0.5:,.0f}"
    assert theirs == f"{(6000 * 3000) ** 0.5:,.0f} hnswlib"
    assert ratio == f"{((9000 * 6000) / (6000 * 3000)) ** 0.5:.2f}"
    # LanceDB is faster, but below the recall.
    assert found["real, client with metadata, q/s at 0.98: ≥ 6"][1:] == ["20 sqlite-vec", "150.00"]
    assert found["real, filter 1%, q/s: ≥ 40"] == ["2,000 (1.000)", "20.0 sqlite-vec", "100.00"]
    assert found["real, memory of the best graph: ≥ 6 ×"] == ["20.0", "200 hnswlib", "10.00"]


def test_nothing_measured_is_no_error():
    assert report("quick", {}) == "nothing has been measured"


def test_a_table_is_aligned_markdown():
    assert markdown(("a", "long"), [["wide cell", "1"]]) == (
        "| a         | long |\n| :-------- | ---: |\n| wide cell |    1 |"
    )


def test_plots_are_drawn(answers, tmp_path):
    pytest.importorskip("matplotlib")
    from benchmarks.plots import draw

    drawn = draw(answers, tmp_path)
    assert [path.name for _, path in drawn] == ["benchmarks-recall.png", "benchmarks-filters.png"]
    assert all(path.stat().st_size > 10_000 for _, path in drawn)


@pytest.mark.parametrize("form", [QUICK, FULL], ids=lambda form: form.name)
def test_a_form_asks_each_thing_once_and_of_known_systems(form):
    every = jobs(form)
    assert len(set(every)) == len(every)
    assert {job.system.removesuffix("+process") for job in every} <= set(SYSTEMS)


def test_the_full_form_holds_the_quick_one():
    assert set(jobs(QUICK)) <= set(jobs(FULL))
