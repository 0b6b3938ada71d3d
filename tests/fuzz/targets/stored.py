"""Files of a store and files of exports that hold any bytes: refused as what they are, or read; never more.

Most of them have checksums, which chance does not meet. So every file is tried twice: as it is, and with its checksums
put right, as somebody would who means harm.
"""

from __future__ import annotations

import functools
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from ragvec.ann.leaves import Leaves
from ragvec.ann.report import BuildReport, setting
from ragvec.ann.sealed import verify
from ragvec.ann.segment_files import read_description, read_projection, read_report, write_report, written_by
from ragvec.cli.problems import CommandError
from ragvec.cli.records import parse_line
from ragvec.engine.local.columns import KeyColumn, read_norms, write_keys, write_norms
from ragvec.engine.local.identity import read_identity, write_identity
from ragvec.engine.local.posting_columns import Wanted
from ragvec.engine.local.posting_runs import open_run, run_name, write_run
from ragvec.engine.local.postings import PostingStore
from ragvec.engine.protocol import IndexSpec
from ragvec.errors import Corrupted, DocumentError, InvalidRequest, StoreError
from ragvec.exchange.jsonl import open_jsonl
from ragvec.exchange.parquet_reader import Foreign, open_parquet
from tests.fuzz.harness import Target, scratch, scratch_file, told

__all__ = ["TARGETS"]

_ROWS = 8
_NAME = run_name(0, _ROWS)
_TAIL = struct.Struct("<QII8s")
_WANTED = Wanted(["x", "", 1, 2.5, True, 2**70])


def _try_run(data: bytes) -> None:
    path = scratch_file(_NAME, data)
    try:
        run = open_run(path, non_filterable=())
        for name in run.fields:
            field = run.fields[name]
            assert not field.exists or field.exists.max() < _ROWS
            found = [
                *field.any_of(_WANTED),
                *field.compare([("gt", 0), ("lte", 2.5)]),
                *field.compare([("gte", -(2**80))]),
                *field.starts_with(b"x"),
                *field.starts_with(b""),
            ]
            for rows in found:
                assert not rows or rows.max() < _ROWS
    except Corrupted as error:
        told(error, str(path))


def run_file(data: bytes) -> None:
    _try_run(data)
    if len(data) < 32:
        return
    offset, length, _, _ = _TAIL.unpack_from(data, len(data) - _TAIL.size)
    length = min(length, len(data))
    offset = min(offset, len(data) - _TAIL.size - length) if length <= len(data) - _TAIL.size else 0
    header = data[offset : len(data) - _TAIL.size]
    try:
        described = msgspec.msgpack.decode(header)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, ValueError):
        return
    _mend(described, data)
    try:
        header = msgspec.msgpack.encode(described)
    except (RecursionError, ValueError, TypeError, OverflowError):
        return
    body = b"ragvpost" + struct.pack("<II", 1, 0) + data[16:offset]
    _try_run(body + header + _TAIL.pack(len(body), len(header), zlib.crc32(header), b"ragvpost"))


def _mend(value: object, data: bytes, depth: int = 0) -> None:
    """Put the checksums right wherever something looks like a section: [dtype, offset, bytes, CRC-32]."""
    if depth > 50:
        return
    if isinstance(value, list):
        if len(value) == 4 and isinstance(value[0], str) and all(isinstance(each, int) for each in value[1:]):
            value[3] = zlib.crc32(data[max(0, value[1]) : max(0, value[1] + value[2])])
        for each in value:
            _mend(each, data, depth + 1)
    elif isinstance(value, dict):
        for each in value.values():
            _mend(each, data, depth + 1)


def column(data: bytes) -> None:
    mended = data
    if len(data) > 32:
        head = data[:24] + struct.pack("<Q", zlib.crc32(data[32:]))
        mended = head + data[32:]
    for each in (data, mended):
        path = scratch_file("keys.bin", each)
        for count in (3, 0):
            try:
                found = KeyColumn(path, count=count)
                assert len(found.take(np.arange(count, dtype=np.uint32))) == count
                assert len(found.blobs(range(count))) == count
            except Corrupted as error:
                told(error, str(path))


def identity(data: bytes) -> None:
    folder = scratch() / "identity"
    folder.mkdir(exist_ok=True)
    (folder / "index.json").write_bytes(data)
    try:
        spec = read_identity(folder)
    except StoreError as error:
        told(error, str(folder))
    else:
        assert isinstance(spec, IndexSpec)


def segment(data: bytes) -> None:
    """The first byte says which of a segment's files the others are."""
    folder = scratch() / "segment"
    folder.mkdir(exist_ok=True)
    kind = data[:1]
    name, read = _SEGMENT_FILES.get(kind, _SEGMENT_FILES[b"r"])
    path = folder / name
    path.write_bytes(data[1:])
    try:
        read(folder)
    except Corrupted as error:
        told(error, str(folder))
    finally:
        path.unlink()


def _reports(folder: Path) -> None:
    written_by(folder)
    for report in (read_description(folder), read_report(folder, backend="scann", version=1)):
        for k in (1, 10, 1000):
            leaves, taken = setting(report, k=k)
            assert leaves >= 0
            assert taken >= 0


def _norms(folder: Path) -> None:
    found = read_norms(folder / "norms.npy")
    assert found is None or len(found) == 2


def _leaves(folder: Path) -> None:
    np.save(folder / "leaf_of_row.npy", np.zeros(4, np.uint32))
    Leaves.load(folder)


_REPORT = BuildReport(
    rows=4,
    dimension=2,
    metric="cosine",
    leaves=2,
    leaves_to_search=1,
    over_fetch=1.5,
    recall_at_10=1.0,
    recall_at_100=1.0,
    seconds=0.1,
    bytes=10,
)
_SEGMENT_FILES: dict[bytes, tuple[str, Callable[[Path], object]]] = {
    b"r": ("report.json", _reports),
    b"c": ("checksums.json", verify),
    b"n": ("norms.npy", _norms),
    b"p": ("projection.npz", lambda folder: read_projection(folder, _REPORT)),
    b"l": ("leaves.npz", _leaves),
}


def export_jsonl(data: bytes) -> None:
    path = scratch_file("export.jsonl", data)
    try:
        with open_jsonl(path, name="export.jsonl") as reader:
            for batch in reader.batches():
                assert len(batch.keys) == len(batch.numbers)
    except DocumentError as error:
        told(error, "export.jsonl")


def export_parquet(data: bytes) -> None:
    path = scratch_file("export.parquet", data)
    try:
        with open_parquet(path, name="export.parquet", foreign=Foreign()) as reader:
            for batch in reader.batches():
                assert len(batch.keys) == len(batch.numbers)
    except (DocumentError, InvalidRequest) as error:
        told(error, "export.parquet")


def record_line(data: bytes) -> None:
    try:
        line = parse_line(7, data, source="x.jsonl", dimension=2)
    except (CommandError, DocumentError) as error:
        told(error, "line 7")
    else:
        assert line.vector.shape == (2,)


@functools.cache
def _made() -> dict[str, tuple[bytes, ...]]:
    """Files as the product writes them."""
    folder = scratch() / "made"
    folder.mkdir(exist_ok=True)
    store = PostingStore(folder / "postings", non_filterable=(), block_rows=_ROWS)
    records = [{"a": row % 3, "b": ["x", f"y{row}"], "c": row % 2 == 0, "d": 2**70 + row} for row in range(_ROWS)]
    store.extend(0, [msgspec.json.encode(record) for record in records])
    store.seal()
    run = store.runs[0]
    path = write_run(folder, [(name, run.fields[name]) for name in run.fields], first=0, last=_ROWS, non_filterable=())
    write_keys(folder / "keys.bin", ["a", "é", ""])
    write_norms(folder / "norms.npy", np.ones((2, 2), np.float32))
    write_report(folder, _REPORT, backend="scann", version=1)
    spec = IndexSpec(uid="u", bucket="b", name="n", dimension=2, metric="cosine", created=0.0)
    write_identity(folder, spec)
    np.savez(folder / "p.npz", metric=np.array("cosine"), centre=np.ones(2, np.float32), scale=np.array(1.0))
    names = ("keys.bin", "norms.npy", "report.json", "index.json", "p.npz")
    return {"run": (path.read_bytes(),), **{name: ((folder / name).read_bytes(),) for name in names}}


def _parquet() -> tuple[bytes, ...]:
    import pyarrow
    import pyarrow.parquet

    made = []
    for columns in (
        {"id": ["a", "b"], "embedding": [[0.1, 0.2], [0.3, 0.4]], "n": [1, None]},
        {"key": ["a"], "vector": [[1.0]], "metadata": ['{"a": 1}']},
    ):
        sink = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.table(columns), sink, compression="none")
        made.append(sink.getvalue())
    return tuple(made)


def _huge(descr: str, shape: str) -> bytes:
    head = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode()


_SEGMENTS = (
    b"r{}",
    b"r" + b"[" * 100_000,
    b'r{"backend":"scann","format":1,"report":"\xff"}',
    b'c{"format":1,"files":{"../../../etc/passwd":[1,2]}}',
    b'c{"format":1,"files":{"a":[99999999999999999999,0]}}',
    b'c{"format":1,"files":{"\\u0000":[1,2]}}',
    b'c{"format":1,"files":{"/dev/zero":[1,2]}}',
    b"c" + b'{"a":' * 50_000,
    b"n" + _huge("'<f4'", "(2,)"),
    b"n" + _huge("'<f4'", "(100000000000,)"),
    b"n" + _huge("'|O'", "(2,)"),
    b"n" + _huge("'<f4'", "(" * 200 + ")" * 200),
    b"nPK\x03\x04",
    b"n",
    b"pPK\x05\x06" + bytes(18),
    b"p\x93NUMPY",
    b"l",
)
_EXPORT = (
    b'{"ragvec":"export","format":1,"dimension":2,"metric":"cosine","non_filterable":[],"properties":{}}\n'
    b'{"key":"a","data":[0.1,0.2],"metadata":{"year":2024}}\n{"records":1}\n'
)
_RECORDS = (
    b'{"key": "a", "data": [1, 2], "metadata": {"n": 1}}',
    b'{"key": "a", "vector": {"float32": [1, 2e308]}}',
    b'{"key": "a", "data": [1, NaN]}',
    b'{"key": "\xff", "data": [1, 2]}',
    b'{"key": "\\ud800", "data": [1, 2]}',
    b'{"key": "a", "data": [1, 2], "metadata": {"x": ' + b"[" * 5_000,
    b'{"key": "a", "data": [1' + b"0" * 5_000 + b", 2]}",
    b"[" * 100_000,
    b'{"' + b"k" * 9_000 + b'": 1}',
)
_COLUMN = struct.Struct("<QQQQ")
TARGETS = [
    Target("run_file", run_file, (*_made()["run"], b"ragvpost" + bytes(40) + b"ragvpost")),
    Target(
        "column",
        column,
        (
            *_made()["keys.bin"],
            _COLUMN.pack(int.from_bytes(b"ragcol_1", "little"), 0, 0, 0) + bytes(8),
            _COLUMN.pack(int.from_bytes(b"ragcol_1", "little"), 3, 0, 0) + b"\xff" * 32,
        ),
    ),
    Target("identity", identity, (*_made()["index.json"], b'{"format": 99}', b"[" * 100_000, b'{"format": "\xff"}')),
    Target(
        "segment",
        segment,
        (*_SEGMENTS, b"r" + _made()["report.json"][0], b"n" + _made()["norms.npy"][0], b"p" + _made()["p.npz"][0]),
    ),
    Target("export_jsonl", export_jsonl, (_EXPORT, *_RECORDS, b"\x1f\x8b\x08\x00" + bytes(20), _EXPORT[:90])),
    Target("export_parquet", export_parquet, (*_parquet(), b"PAR1" + bytes(20) + b"PAR1")),
    Target("record_line", record_line, _RECORDS),
]
