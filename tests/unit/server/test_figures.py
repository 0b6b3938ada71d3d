"""Counts for Prometheus, the access log, and which operations are known to be quick."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from ragvec.server.access_log import AccessLog, Entry
from ragvec.server.dialects.face import Call
from ragvec.server.metrics import BUCKETS, Figures, exposition
from ragvec.server.pace import QUICK, Pace

ANOTHER = """
import sys
from ragvec.server.metrics import Figures
figures = Figures(sys.argv[1])
figures.answered("cos", "GetIndex", 200, seconds=0.004, received=10, sent=20)
figures.set("~ragvec_http_in_work", 7)
"""


def test_durations_are_classes_that_add_up(tmp_path: Path) -> None:
    figures = Figures(tmp_path)
    for seconds in (0.0004, 0.0005, 0.003, 60):
        figures.answered("oss", "QueryVectors", 200, seconds=seconds, received=1, sent=2)
    lines = figures.text().splitlines()
    labels = 'service="oss",operation="QueryVectors"'
    assert f'ragvec_http_requests_total{{{labels},status="200"}} 4' in lines
    assert f'ragvec_http_request_seconds_bucket{{{labels},le="0.0005"}} 2' in lines
    assert f'ragvec_http_request_seconds_bucket{{{labels},le="0.0025"}} 2' in lines
    assert f'ragvec_http_request_seconds_bucket{{{labels},le="0.005"}} 3' in lines
    assert f'ragvec_http_request_seconds_bucket{{{labels},le="10"}} 3' in lines
    assert f'ragvec_http_request_seconds_bucket{{{labels},le="+Inf"}} 4' in lines
    assert f"ragvec_http_request_seconds_count{{{labels}}} 4" in lines
    assert "ragvec_http_sent_bytes_total 8" in lines
    assert len([line for line in lines if "_bucket" in line]) == len(BUCKETS) + 1


def test_counts_of_a_worker_that_ended_stay_and_what_it_was_doing_does_not(tmp_path: Path) -> None:
    figures = Figures(tmp_path)
    figures.answered("cos", "GetIndex", 200, seconds=0.004, received=10, sent=20)
    figures.set("~ragvec_http_in_work", 1)
    subprocess.run([sys.executable, "-c", ANOTHER, str(tmp_path)], check=True)
    lines = exposition(tmp_path).splitlines()
    assert 'ragvec_http_requests_total{service="cos",operation="GetIndex",status="200"} 2' in lines
    assert "ragvec_http_in_work 1" in lines
    assert "ragvec_http_workers 1" in lines


def test_a_label_cannot_break_its_line(tmp_path: Path) -> None:
    figures = Figures(tmp_path)
    figures.answered("s3", 'a"b\\c\nd', 200, seconds=1, received=0, sent=0)
    assert 'operation="a\\"b\\\\c\\nd"' in figures.text()


def test_there_is_no_room_for_names_without_end(tmp_path: Path) -> None:
    figures = Figures(tmp_path)
    for number in range(20_000):
        figures.add(f"ragvec_http_refused_total{{number='{number:040}'}}")
    assert figures.text().count("ragvec_http_refused_total{") < 20_000
    assert next(tmp_path.iterdir()).stat().st_size == 1 << 20


def entry(**values: object) -> Entry:
    given = {"time": 1.5, "request_id": "A", "client": "127.0.0.1", "method": "GET", "path": "/", "status": 200}
    return Entry(**{**given, "microseconds": 7, "received": 0, "sent": 3, **values})  # type: ignore[arg-type]


def test_every_request_is_a_line_and_what_is_not_known_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    log = AccessLog(str(path))
    for number in range(1000):
        log.add(entry(sent=number))
    log.add(entry(path="/é\n", user="u"))
    log.close()
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [line["sent"] for line in lines[:1000]] == list(range(1000))
    assert (lines[-1]["path"], lines[-1]["user"]) == ("/é\n", "u")
    assert "error" not in lines[0]


def test_a_log_whose_reader_has_gone_stops_nobody(tmp_path: Path) -> None:
    readable, writable = os.pipe()
    os.close(readable)
    log = AccessLog(f"/dev/fd/{writable}" if sys.platform == "linux" else str(tmp_path / "log"))
    log.add(entry())
    log.close()
    os.close(writable)


def call(operation: str, **arguments: object) -> Call:
    return Call(operation=operation, arguments=arguments, bucket="b", index="i")


def test_an_operation_is_quick_after_it_was_time_after_time() -> None:
    pace = Pace()
    kind = pace.kind(call("QueryVectors", topK=10))
    assert kind is not None
    for _ in range(4):
        assert not pace.is_quick(kind)
        pace.took(kind, QUICK / 10)
    assert pace.is_quick(kind)
    pace.took(kind, 1.0)
    assert not pace.is_quick(kind)
    for _ in range(100):
        pace.took(kind, QUICK / 10)
    assert pace.is_quick(kind)


def test_what_costs_differently_is_another_kind() -> None:
    pace = Pace()
    plain = pace.kind(call("QueryVectors", topK=10))
    assert pace.kind(call("QueryVectors", topK=10, filter={"a": 1})) != plain
    assert pace.kind(call("QueryVectors", topK=1000)) != plain
    assert pace.kind(call("QueryVectors", topK=10, queryVector=[1])) == plain
    assert pace.kind(call("PutVectors")) is None
    assert pace.kind(Call(operation="Query", arguments={})) is None


def test_kinds_without_end_are_forgotten() -> None:
    pace = Pace()
    for number in range(5000):
        kind = pace.kind(call("GetVectors", topK=number))
        assert kind is not None
        pace.took(kind, 0.0)
    assert len(pace._seen) <= 1024
