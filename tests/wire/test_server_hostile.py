"""Requests that nobody honest sends; the long form is `python -m tests.torture http`."""

from __future__ import annotations

from pathlib import Path

from tests.torture import http


def test_hostile_requests_are_refused_and_change_nothing(tmp_path: Path) -> None:
    figures = http.run(rounds=2_000, seed=7, folder=tmp_path)
    assert int(figures["4xx"]) > 1_500
