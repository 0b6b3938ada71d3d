"""What `ragvec serve` was told, as one value that reaches every worker."""

from __future__ import annotations

import msgspec

from ragvec.limits import S3
from ragvec.server.users import User

__all__ = ["ServerLimits", "Settings"]


class ServerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one worker takes on. Times are in seconds.

    `threads` requests are worked on at once and `waiting` more wait; further ones are refused. `bodies` bounds the
    bytes of all the bodies that have arrived and are not answered yet.
    """

    body: int = S3.request_bytes or 20 << 20
    bodies: int = 256 << 20
    head: int = 64 << 10
    head_time: float = 10.0
    body_time: float = 60.0
    idle_time: float = 75.0
    drain_time: float = 30.0
    threads: int = 8
    waiting: int = 256


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The store and who may ask for what. With `anonymous` nothing is checked, and everybody is the owner."""

    store: str
    account: str
    region: str
    dialects: tuple[str, ...]
    users: tuple[User, ...] = ()
    anonymous: bool = False
    workers: int = 1
    access_log: str = ""
    """A file, "-" for standard error, "" for none."""
    tls_cert: str = ""
    tls_key: str = ""
    figures: str = ""
    """The folder where workers leave their counts for each other."""
    kendra: dict[str, str] = {}
    """By bucket name, the folder that stands for it in requests to Kendra that name documents by S3Path."""
    limits: ServerLimits = ServerLimits()
