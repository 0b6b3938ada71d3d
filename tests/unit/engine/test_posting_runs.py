"""The file format of runs, read here with nothing but struct, MessagePack and numpy."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from pyroaring import BitMap

from ragvec.engine.local.postings import PostingStore

BLOCK = 8


def test_a_run_file_is_as_its_description_says(tmp_path: Path) -> None:
    store = PostingStore(tmp_path, non_filterable=(), block_rows=BLOCK)
    store.extend(0, [b'{"a":[2,1],"b":"\xc3\xa9"}', b'{"a":9007199254740993}', *[None] * (BLOCK - 2)])
    store.seal()
    data = (tmp_path / "000000000000-000000000008.post").read_bytes()
    assert data[:16] == b"ragvpost" + struct.pack("<II", 1, 0)
    offset, length, _, magic = struct.unpack("<QII8s", data[-24:])
    assert magic == b"ragvpost"
    header = msgspec.msgpack.decode(data[offset : offset + length])
    assert (header["first"], header["last"], header["non_filterable"]) == (0, BLOCK, [])

    def section(described: list[Any]) -> list[Any]:
        dtype, start, size, _ = described
        assert start % 8 == 0
        return np.frombuffer(data[start : start + size], dtype).tolist()

    exists, columns = header["fields"]["a"]
    assert list(BitMap.deserialize(bytes(section(exists)))) == [0, 1]
    assert {kind: {name: section(at) for name, at in parts.items()} for kind, parts in columns.items()} == {
        "listed_number": {"doubles": [1.0, 2.0], "offsets": [0, 1, 2], "rows": [0, 0]},
        "number": {"doubles": [2.0**53], "residuals": [1], "offsets": [0, 1], "rows": [1]},
    }
    blob = header["fields"]["b"][1]["string"]
    assert (section(blob["blob"]), section(blob["starts"])) == ([0xC3, 0xA9], [0, 2])
