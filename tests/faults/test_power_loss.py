"""Power failures: what a disk may keep of what was not fsynced, and that no such state costs what was acknowledged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.torture import power
from tests.torture.disk import Entry, Kind, ShimMissing, compile_shim
from tests.torture.power_disk import SECTOR, Disk, Keep, State, keep_all, keep_none


class Kept:
    """Keeps the changes by these records."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = numbers

    def name(self, number: int) -> bool:
        return number in self.numbers

    def data(self, path: str, writes: list[int]) -> Callable[[int, int], bool]:
        return lambda sector, number: number in self.numbers


class KeptSectors(Kept):
    """Keeps of the files' writes only these sectors, whatever wrote them, and the last size."""

    def data(self, path: str, writes: list[int]) -> Callable[[int, int], bool]:
        return lambda sector, number: sector in self.numbers or sector == -1

    def name(self, number: int) -> bool:
        return True


def disk(*entries: Entry) -> Disk:
    made = Disk()
    for entry in entries:
        made.apply(entry)
    return made


def write(path: str, data: bytes, at: int = 0) -> Entry:
    return Entry(Kind.WRITE, 1, path, offset=at, length=len(data), data=data)


def do(kind: Kind, path: str, path2: str = "", length: int = 0) -> Entry:
    return Entry(kind, 1, path, path2, length=length)


A_FILE = (do(Kind.CREATE, "a"), do(Kind.SYNC_FOLDER, ""))


def files(made: Disk, keep: Keep) -> dict[str, bytes]:
    return made.after_failure(keep).files


# -- the simulated disk ------------------------------------------------------------------------------------------------


def test_what_was_fsynced_stays_and_the_rest_may_go() -> None:
    made = disk(*A_FILE, write("a", b"one"), do(Kind.SYNC, "a"), write("a", b"two", 3))
    assert files(made, keep_none) == {"a": b"one"}
    assert files(made, keep_all) == {"a": b"onetwo"} == made.live().files


def test_a_name_is_as_durable_as_its_folder_not_as_its_file() -> None:
    made = disk(do(Kind.CREATE, "a"), write("a", b"one"), do(Kind.SYNC, "a"))
    assert files(made, keep_none) == {}
    assert files(made, Kept(1)) == {"a": b"one"}
    made.apply(do(Kind.SYNC_FOLDER, ""))
    assert files(made, keep_none) == {"a": b"one"}


def test_writes_survive_in_any_subset_and_leave_zeros() -> None:
    made = disk(*A_FILE, write("a", b"x" * SECTOR), write("a", b"y" * SECTOR, SECTOR))
    assert files(made, Kept(3)) == {"a": b"x" * SECTOR}
    assert files(made, Kept(4)) == {"a": bytes(SECTOR) + b"y" * SECTOR}


def test_a_write_may_be_torn_between_sectors() -> None:
    made = disk(*A_FILE, write("a", b"x" * (3 * SECTOR)))
    assert files(made, KeptSectors(1)) == {"a": bytes(SECTOR) + b"x" * SECTOR + bytes(SECTOR)}


def test_a_sector_has_one_of_the_contents_that_it_had() -> None:
    made = disk(*A_FILE, write("a", b"aaaa"), do(Kind.SYNC, "a"), write("a", b"bb"), write("a", b"cc", 2))
    assert files(made, Kept(5)) == {"a": b"bbaa"}
    assert files(made, Kept(6)) == {"a": b"bbcc"}, "the last state of a sector includes those before"


def test_a_file_may_keep_its_old_size() -> None:
    made = disk(*A_FILE, write("a", b"long"), do(Kind.SYNC, "a"), do(Kind.TRUNCATE, "a", length=1))
    assert [files(made, keep)["a"] for keep in (keep_none, keep_all)] == [b"long", b"l"]


def test_a_rename_is_there_or_not() -> None:
    made = disk(*A_FILE, do(Kind.CREATE, "b"), do(Kind.SYNC_FOLDER, ""), do(Kind.RENAME, "b", "a"))
    assert sorted(files(made, keep_none)) == ["a", "b"]
    assert sorted(files(made, keep_all)) == ["a"]


def test_a_rename_between_folders_is_durable_in_both_at_once() -> None:
    made = disk(
        do(Kind.MKDIR, "f"),
        do(Kind.MKDIR, "g"),
        do(Kind.SYNC_FOLDER, ""),
        do(Kind.CREATE, "f/a"),
        do(Kind.SYNC_FOLDER, "f"),
        do(Kind.RENAME, "f/a", "g/a"),
    )
    assert sorted(files(made, keep_none)) == ["f/a"]
    made.apply(do(Kind.SYNC_FOLDER, "g"))
    assert sorted(files(made, keep_none)) == ["g/a"]


def test_below_a_name_that_is_lost_there_is_nothing() -> None:
    made = disk(do(Kind.MKDIR, "f"), do(Kind.CREATE, "f/a"), write("f/a", b"x"), do(Kind.SYNC, "f/a"))
    made.apply(do(Kind.SYNC_FOLDER, "f"))
    assert made.after_failure(keep_none) == State((), {})
    assert made.after_failure(Kept(1)) == State(("f",), {"f/a": b"x"})


def test_a_removed_file_may_come_back_and_a_new_one_of_its_name_is_another(tmp_path: Path) -> None:
    made = disk(*A_FILE, write("a", b"old"), do(Kind.SYNC, "a"), do(Kind.UNLINK, "a"), do(Kind.CREATE, "a"))
    made.apply(write("a", b"new"))
    made.apply(do(Kind.SYNC, "a"))
    assert files(made, keep_none) == {"a": b"old"}
    assert files(made, keep_all) == {"a": b"new"}
    assert files(made, Kept(5)) == {}
    made.after_failure(keep_all).write(tmp_path / "state")
    assert (tmp_path / "state" / "a").read_bytes() == b"new"


def test_after_a_failed_fsync_only_bytes_written_again_are_made_durable() -> None:
    made = disk(*A_FILE, write("a", b"lost"), do(Kind.SYNC_FAILED, "a"), do(Kind.SYNC, "a"))
    assert made.live().files == {"a": b"lost"}
    assert [files(made, keep)["a"] for keep in (keep_none, keep_all)] == [b"", b"lost"]
    made.apply(write("a", b"kept"))
    made.apply(do(Kind.SYNC, "a"))
    assert files(made, keep_none) == {"a": b"kept"}


# -- the store ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("power")
    try:
        compile_shim(folder / "shim")
    except ShimMissing as missing:
        pytest.skip(str(missing))
    return folder


def test_no_state_of_the_disk_after_a_power_failure_breaks_a_promise(work: Path) -> None:
    figures = power.run(rounds=70, seed=4, folder=work)
    assert int(figures["states"]) >= 60


FORGOTTEN: dict[str, Callable[[str], bool]] = {
    "vectors": lambda path: path.endswith("vectors.f32"),
    "folders": lambda path: "." not in path,
    "log": lambda path: path.endswith("-wal"),
}


@pytest.mark.parametrize("what", FORGOTTEN)
def test_a_store_that_forgot_an_fsync_is_found_out(work: Path, what: str) -> None:
    folder = work / f"without-{what}"
    log = power.recorded(folder, seed=1, name="commit", steps=12)
    with pytest.raises(AssertionError, match="power failed after record"):
        power.failures(log, folder, seed=1, states=200, name="commit", ignored=FORGOTTEN[what])
