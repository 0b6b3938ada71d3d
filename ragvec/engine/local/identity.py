"""index.json: what an index is, in its own folder, so that a catalog that was lost can be made again.

    {"format": 1, "crc": CRC-32 of the spec's JSON, "spec": {uid, bucket, name, dimension, metric, …, text}}

It lies beside the generations. It repeats the catalog, which counts where the two differ: `index_mode`, which may
change after an index was made, may be older here. The text fields are those of the last change; they stand within the
spec so that its checksum covers them, and earlier versions pass over them. An index of a store that was made before
there was this file has none until the store is migrated.
"""

from __future__ import annotations

import os
import uuid
import zlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ragvec.engine.local.layout import sync_folder
from ragvec.engine.local.sqlite import store_error
from ragvec.engine.protocol import IndexSpec, TextField
from ragvec.errors import Corrupted, StoreTooNew

__all__ = ["IDENTITY_FILE", "IDENTITY_TEMPORARY", "read_identity", "read_text_fields", "same_index", "write_identity"]

IDENTITY_FILE = "index.json"
IDENTITY_TEMPORARY = "index.json.tmp-"
"""What the name begins with while the file is being written; such a file was left by a process that died."""

_FORMAT = 1


class _Identity(msgspec.Struct, frozen=True):
    format: int
    crc: int
    spec: msgspec.Raw


class _Described(IndexSpec, frozen=True, kw_only=True, omit_defaults=False):
    text: tuple[TextField, ...] | msgspec.UnsetType = msgspec.UNSET


class _Version(msgspec.Struct, frozen=True):
    format: int


def write_identity(folder: Path, spec: IndexSpec, text: Sequence[TextField] = ()) -> None:
    """Say in `folder`, that of the index, what the index is, and which of its fields are searched by text; durable on
    return, and replaced as a whole.

    Raises:
        StoreFull, StoreReadOnly, StoreError: what was there is as it was.
    """
    described = _Described(**msgspec.structs.asdict(spec), text=tuple(text) if text else msgspec.UNSET)
    encoded = msgspec.json.encode(described)
    content = msgspec.json.encode(_Identity(_FORMAT, zlib.crc32(encoded), msgspec.Raw(encoded)))
    temporary = folder / f"{IDENTITY_TEMPORARY}{uuid.uuid4().hex}"
    try:
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(folder / IDENTITY_FILE)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(folder)
    except OSError as error:
        raise store_error(error, folder / IDENTITY_FILE) from error


def read_identity(folder: Path) -> IndexSpec | None:
    """What `write_identity` said of the index in `folder`; None where it said nothing yet.

    Raises:
        Corrupted: the file does not match its checksum. StoreTooNew: a newer ragvec wrote it. StoreError: it cannot be
        read.
    """
    found = _read(folder)
    return None if found is None else _spec(found)


def read_text_fields(folder: Path) -> tuple[TextField, ...]:
    """The text fields that `write_identity` named for the index in `folder`; none where it named none, or where the
    file was written before it could. Raises like `read_identity`."""
    found = _read(folder)
    return () if found is None or isinstance(found.text, msgspec.UnsetType) else found.text


def _spec(described: _Described) -> IndexSpec:
    return IndexSpec(**{name: getattr(described, name) for name in IndexSpec.__struct_fields__})


def _read(folder: Path) -> _Described | None:
    path = folder / IDENTITY_FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise store_error(error, path) from error
    try:
        version = msgspec.json.decode(content, type=_Version).format
        if version > _FORMAT:
            raise StoreTooNew(
                f"`{path}` has format {version}, this ragvec knows formats up to {_FORMAT}; upgrade ragvec",
                store=str(path),
            )
        found = msgspec.json.decode(content, type=_Identity)
        if zlib.crc32(bytes(found.spec)) != found.crc:
            raise Corrupted(f"`{path}` does not match its checksum; the catalog has what it said", store=str(path))
        return msgspec.json.decode(found.spec, type=_Described)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Corrupted(f"`{path}` does not describe an index: {error}", store=str(path)) from error


def same_index(one: IndexSpec, other: IndexSpec) -> bool:
    """Whether two specs are of one index: they differ at most in what may change after it was made."""
    return msgspec.structs.replace(one, index_mode="") == msgspec.structs.replace(other, index_mode="")


# Made once while the module is imported: msgspec may crash where threads meet a type for the first time together.
msgspec.json.Decoder(_Version)
msgspec.json.Decoder(_Identity)
msgspec.json.Decoder(_Described)
