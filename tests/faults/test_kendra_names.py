"""Processes that ask for an index of the same name at once: one gets it, however they meet."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ragvec.kendra import Client
from ragvec.pipeline.embedders.hashing import HashingEmbedder
from ragvec.store import Store

ROUNDS, PROCESSES = 12, 4

_CHILD = """
import sys, time
from pathlib import Path
from ragvec.kendra import Client
from ragvec.pipeline.embedders.hashing import HashingEmbedder
from ragvec.store import Store

folder, own, rounds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
with Store(folder / "store") as store:
    client = Client(store, embedder=HashingEmbedder(32))
    for number in range(rounds):
        (folder / f"ready-{number}-{own}").touch()
        deadline = time.monotonic() + 120
        while not (folder / f"go-{number}").exists():
            assert time.monotonic() < deadline
        try:
            print(number, client.create_index(Name=f"Index_{number}", RoleArn="")["Id"], flush=True)
        except client.exceptions.ClientError as error:
            print(number, error.response["Error"]["Code"], flush=True)
        (folder / f"done-{number}-{own}").touch()
"""


def test_one_of_several_processes_makes_the_index(tmp_path: Path) -> None:
    Store(tmp_path / "store").close()
    arguments = [sys.executable, "-c", _CHILD, str(tmp_path)]
    children = [
        subprocess.Popen([*arguments, str(own), str(ROUNDS)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for own in range(PROCESSES)
    ]
    try:
        for number in range(ROUNDS):
            wait_for(tmp_path, f"ready-{number}-*", children)
            (tmp_path / f"go-{number}").touch()
            wait_for(tmp_path, f"done-{number}-*", children)
        said = [child.communicate(timeout=60) for child in children]
    finally:
        for child in children:
            child.kill()
            child.wait()
    assert all(child.returncode == 0 for child in children), said
    answers: dict[str, list[str]] = {}
    for out, _ in said:
        for line in out.splitlines():
            number_of, answer = line.split()
            answers.setdefault(number_of, []).append(answer)
    refused = "ResourceAlreadyExistException"
    for given in answers.values():
        assert len(given) == PROCESSES
        assert sorted(answer == refused for answer in given) == [False] + [True] * (PROCESSES - 1), given
    with Store(tmp_path / "store") as store:
        client = Client(store, embedder=HashingEmbedder(32))
        listed = client.list_indices()["IndexConfigurationSummaryItems"]
        assert sorted(item["Name"] for item in listed) == sorted(f"Index_{number}" for number in range(ROUNDS))
        made = {answer for given in answers.values() for answer in given} - {refused}
        assert {item["Id"] for item in listed} == made
        for uid in made:  # each is whole
            client.batch_put_document(
                IndexId=uid, Documents=[{"Id": "a", "Blob": b"A ferry.", "ContentType": "PLAIN_TEXT"}]
            )
            assert client.query(IndexId=uid, QueryText="ferry")["TotalNumberOfResults"] == 1


def wait_for(folder: Path, pattern: str, children: list[subprocess.Popen[str]]) -> None:
    while len(list(folder.glob(pattern))) < PROCESSES:
        assert all(child.poll() in (None, 0) for child in children), [child.communicate() for child in children]
        try:
            children[0].wait(timeout=0.005)
        except subprocess.TimeoutExpired:
            continue
