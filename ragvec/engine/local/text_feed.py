"""Inverted lists kept up with the records, field by field, for whoever ranks by text."""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from ragvec.engine.local.forks import operation
from ragvec.engine.local.records import Records
from ragvec.engine.local.run_feed import RunFeed
from ragvec.engine.local.run_store import BLOCK_ROWS
from ragvec.engine.local.text_store import TextStore, text_reader
from ragvec.engine.protocol import TextField, TextStatus
from ragvec.errors import IndexNotFound, InvalidRequest, MissingExtra
from ragvec.text.analyzers import Analyzer, analyzer
from ragvec.text.bm25 import Lists
from ragvec.text.inverted import Inverted

__all__ = ["TextFeed", "TextFeeds", "folder_name", "terms_of"]

_STEP = 128
"""Rows whose terms are made at a time in the background, without the lock."""

_BUILDING_BLOCKS = 2
"""With more blocks of rows without lists a field is said to be building: indexing these takes a second or two."""

_BLOCKS_AT_ONCE = 8
"""Blocks of rows that are due at a time: some seconds of work, after which other things may have become urgent."""

_ABANDONED_SECONDS = 3600.0
"""Lists by another analyzer are left alone for so long after they were written: another version of this library may
be at work."""

_READABLE = re.compile(r"[^0-9a-z]+")

_log = logging.getLogger("ragvec.text")


class TextFeed(RunFeed[TextStore]):
    """The inverted lists in `folder` of the texts that `records` holds under the key of `field`, by `analyzer`.

    For any thread; several processes may have one on the same folder.
    """

    step = _STEP

    def __init__(
        self,
        records: Records,
        folder: Path,
        *,
        field: TextField,
        analyzer: Analyzer,
        read_only: bool,
        block_rows: int = BLOCK_ROWS,
    ) -> None:
        store = TextStore(
            folder,
            key=field.key,
            analyzer=analyzer.name,
            read_only=read_only,
            block_rows=block_rows,
            checksums=records.checksums,
        )
        super().__init__(records, store, block_rows=block_rows)
        self.field, self.analyzer = field, analyzer
        self._texts = text_reader(field.key)

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return self._store.folder

    def lists(self, rows: int) -> tuple[Lists, ...]:
        """Lists of the first `rows` rows; made now, as far as they are not there."""
        with self._lock:
            self._catch_up(rows)
            return self._store.lists(rows)

    def known(self, rows: int) -> tuple[Lists, ...]:
        """Such lists of the first `rows` rows as are there."""
        with self._lock:
            return self._store.lists(rows)

    def files(self) -> tuple[int, int, int]:
        """The number of terms in all files (one in several files counts as often), the row before which files cover
        all, and their bytes."""
        with self._lock:
            runs = [(run, run.path) for run in self._store.runs if run.path is not None]
            end = self._store.runs_end
        return sum(len(run) for run, _ in runs), end, sum(map(_bytes, (path for _, path in runs)))

    def status(self, rows: int) -> TextStatus:
        """Whether so many of the first `rows` rows have no lists yet that it takes a while to make them."""
        with self._lock:
            if rows - self._store.covered > _BUILDING_BLOCKS * self._block_rows:
                self._store.refresh()
            missing = rows - self._store.covered
        return "BUILDING" if missing > _BUILDING_BLOCKS * self._block_rows else "ACTIVE"

    def take_over(self, runs: Iterable[Inverted]) -> None:
        """Use these lists, which adjoin each other from row 0 on, of rows that are committed. Raises OSError,
        Corrupted."""
        with self._persisting:
            for run in runs:
                self._store.keep(run)
            with operation(), self._lock:
                self._store.refresh()

    def _items(self, first: int, last: int) -> Iterator[list[str]]:
        return map(self._terms, self._records.metadata(first, last))

    def _terms(self, metadata: bytes | None) -> list[str]:
        return terms_of(self._texts(metadata), self.analyzer)


class TextFeeds:
    """The feeds of the text fields of one generation, in folders of their own in `folder`; `fields` gives them as they
    are now. For any thread."""

    def __init__(
        self,
        records: Records,
        folder: Path,
        *,
        fields: Callable[[], Sequence[TextField]],
        read_only: bool,
        block_rows: int = BLOCK_ROWS,
    ) -> None:
        self._records = records
        self._folder = folder
        self._fields = fields
        self._read_only = read_only
        self._block_rows = block_rows
        self._lock = threading.Lock()
        self._feeds: dict[TextField, TextFeed] = {}
        self._seen = 0

    @property
    def fields(self) -> tuple[TextField, ...]:
        """The text fields. Raises IndexNotFound."""
        return tuple(self._fields())

    def of(self, key: str) -> TextFeed:
        """The feed of the field with this key.

        Raises:
            InvalidRequest: there is none. MissingExtra: its analyzer needs a library that is not installed.
        """
        fields = self.fields
        for field in fields:
            if field.key == key:
                return self._feeds.get(field) or self._opened(field)
        keys = ", ".join(f"`{field.key}`" for field in fields) or "none"
        raise InvalidRequest(
            f"Expected a text field of the index ({keys}), got `{key}`: only these are searched by text",
            path="queryTexts",
        )

    def usable(self) -> list[TextFeed]:
        """The feeds of all fields whose analyzers there are."""
        found = []
        for field in self.fields:
            try:
                found.append(self._feeds.get(field) or self._opened(field))
            except (MissingExtra, InvalidRequest) as error:
                _log.debug("The text field `%s` is left to others: %s", field.key, error)
        return found

    def status(self, rows: int) -> dict[str, TextStatus]:
        """Of each field, by key, whether its lists of the first `rows` rows are there; one whose analyzer is not
        installed here is building."""
        found: dict[str, TextStatus] = {field.key: "BUILDING" for field in self.fields}
        return found | {feed.field.key: feed.status(rows) for feed in self.usable()}

    def may_be_behind(self, rows: int) -> bool:
        """Whether `due` should be asked; costs next to nothing."""
        try:
            if self._read_only or not self.fields or rows - self._seen < self._block_rows:
                return False
        except IndexNotFound:
            return False
        self._seen = rows
        return True

    def due(self, rows: int) -> tuple[int, int] | None:
        """The rows, up to which `persist` should be called next and from which it has something to write, of all that
        are due; None when there is nothing to write."""
        if self._read_only:
            return None
        with operation():
            first = min((feed.tried for feed in self.usable() if feed.behind(rows)), default=None)
        return None if first is None else (first, min(rows, first + _BLOCKS_AT_ONCE * self._block_rows))

    def persist(self, rows: int) -> None:
        """Index the first `rows` rows and write files of the full blocks, without holding up queries for long."""
        with operation():
            feeds = self.usable()
        for feed in feeds:
            feed.persist(rows)

    def warm(self) -> None:
        """Open what the first queries need."""
        with operation():
            self.usable()

    def strays(self) -> list[Path]:
        """The folders of fields that are none any longer, and those of other analyzers that nobody has written to for
        a while."""
        try:
            fields = {_digest(field.key) for field in self.fields}
            own = {feed.folder.name for feed in self.usable()}
            there = [path for path in self._folder.iterdir() if path.is_dir()]
        except (FileNotFoundError, IndexNotFound):
            return []
        return [
            path
            for path in there
            if path.name not in own and (path.name.split("-")[0] not in fields or _is_abandoned(path))
        ]

    def sweep(self) -> None:
        """Remove strays. Other processes may have their files open, and go on with these."""
        if not self._read_only:
            with operation():
                strays = self.strays()
            for path in strays:
                shutil.rmtree(path, ignore_errors=True)

    def close(self) -> None:
        """Forget everything; later use opens it again."""
        with self._lock:
            self._feeds = {}

    def _opened(self, field: TextField) -> TextFeed:
        terms = analyzer(field.language)
        with self._lock:
            found = self._feeds.get(field)
            if found is None:
                kept = set(self.fields)
                found = TextFeed(
                    self._records,
                    self._folder / folder_name(field.key, terms.name),
                    field=field,
                    analyzer=terms,
                    read_only=self._read_only,
                    block_rows=self._block_rows,
                )
                feeds = {known: feed for known, feed in self._feeds.items() if known in kept}
                self._feeds = {**feeds, field: found}
            return found


def terms_of(texts: Sequence[str], analyzer: Analyzer) -> list[str]:
    """The terms of a row with these texts."""
    if len(texts) == 1:
        return analyzer.tokens(texts[0])
    return [term for text in texts for term in analyzer.tokens(text)]


def folder_name(key: str, analyzer: str) -> str:
    """The name of the folder of a field: digests of its key and of its analyzer's name, and as much of the key as any
    file system takes, for people."""
    readable = _READABLE.sub("-", key.lower())[:24].strip("-")
    return "-".join(filter(None, (_digest(key), _digest(analyzer)[:16], readable)))


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _is_abandoned(folder: Path) -> bool:
    return time.time() - max(_times(folder), default=0.0) > _ABANDONED_SECONDS


def _times(folder: Path) -> Iterable[float]:
    try:
        return [path.stat().st_mtime for path in (folder, *folder.iterdir())]
    except FileNotFoundError:
        return []


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # another process has merged it away
        return 0
