"""The engine seam: what a place that keeps vectors must be able to do.

Above it stand names, limits, validation, paging and policies; below it rows, files, segments and plans (or another
database). Everything that crosses it is a numpy array, encoded JSON or a small frozen struct.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import msgspec

from ragvec.engine.figures import (
    Explanation,
    IndexStats,
    SearchStep,
    SegmentStats,
    TextStats,
    TextStatus,
    Tuning,
)
from ragvec.engine.word_lists import WordLists
from ragvec.filters.nodes import EVERYTHING, Filter
from ragvec.types import Damaged, Distances, FloatMatrix, FloatVector, Metric, Record, RowArray

__all__ = [
    "Batch",
    "BucketInfo",
    "Catalog",
    "Engine",
    "Explanation",
    "IndexEngine",
    "IndexSpec",
    "IndexStats",
    "Listing",
    "Page",
    "NearTerm",
    "NearTerms",
    "OWNER",
    "Ranked",
    "Ranking",
    "RowScores",
    "SearchStep",
    "SegmentStats",
    "TextField",
    "TextQuery",
    "TextRanking",
    "TextStats",
    "TextStatus",
    "Tuning",
]

OWNER = "ragvec.owner"
"""The property of an index that belongs to another: the uid of that."""

Batch: TypeAlias = "tuple[Sequence[str], FloatMatrix, Sequence[bytes | None]]"
"""Keys, vectors and metadata, as `IndexEngine.put` takes them."""


class BucketInfo(msgspec.Struct, frozen=True):
    """A vector bucket. `created` is in epoch seconds; `encryption` and `index_mode` are kept as the caller gave
    them."""

    name: str
    created: float
    encryption: dict[str, str] = {}
    index_mode: str = ""


class IndexSpec(msgspec.Struct, frozen=True):
    """What an index is; nothing in it but `index_mode` changes after creation. What else its owner may change, the
    catalog keeps apart, by name.

    `uid` is a UUID and never reused, so an index that was deleted and made again under its old name is another index.
    """

    uid: str
    bucket: str
    name: str
    dimension: int
    metric: Metric
    created: float
    non_filterable: tuple[str, ...] = ()
    encryption: dict[str, str] = {}
    index_mode: str = ""


class Page(msgspec.Struct, frozen=True):
    """A page of names or specs in byte order of name; `next_after` is the name to go on after, None at the end."""

    items: tuple[Any, ...]
    next_after: str | None = None


class Listing(msgspec.Struct, frozen=True, eq=False):
    """A page of records in byte order of key; `next_after` is the key to go on after, None at the end. `damaged` are
    the keys of rows left out because they are damaged, as far as they can be read."""

    records: tuple[Record, ...]
    next_after: str | None = None
    damaged: tuple[str, ...] = ()


class Ranking(msgspec.Struct, frozen=True, eq=False):
    """The rows nearest to one query, nearest first, ties by key: `rows` uint32 (n,), `distances` float32 (n,).

    Distances are exact, in the units of the metric (cosine: 1 − cos θ; euclidean: the root, not the square). `rows`
    mean something only to the engine and `generation` that gave them; `exact` tells that no approximation took part in
    choosing them. `keys` are there when they cost nothing.

    A ranking by text, or by several lists, is in the order that whoever made it gives it, and has `scores`, each
    float32 (n,), by name: "fused", "distance", "bm25:<key>". They are kept with it; `distances` may be empty then.
    """

    rows: RowArray
    distances: Distances
    generation: int
    exact: bool
    keys: list[str] | None = None
    scores: dict[str, FloatVector] | None = None


class TextField(msgspec.Struct, frozen=True):
    """A metadata key whose text is searched: that of a string, or of a list of strings. `language` says how its words
    are told apart and reduced, see `ragvec.text.analyzers.analyzer`; None for any language."""

    key: str
    language: str | None = None


class TextQuery(msgspec.Struct, frozen=True):
    """Plain words sought in a text field, any of them; scores are multiplied by `weight`, which is above 0."""

    key: str
    text: str
    weight: float = 1.0


class TextRanking(msgspec.Struct, frozen=True, eq=False):
    """The rows in which a term of one text query occurs, best first, ties by key: `rows` uint32 (n,), `scores` float32
    (n,): BM25, see `ragvec.text.bm25`, with the statistics of the live rows that satisfy `counted`, whatever the other
    filter.

    `once` is the score of a text of average length with each of the terms once in it, 0 where nothing was sought."""

    rows: RowArray
    scores: FloatVector
    once: float = 0.0


class Ranked(msgspec.Struct, frozen=True, eq=False):
    """What several searches found at one moment: a ranking for each text query, in their order, and that of the vector.
    `moment` is the engine's own, for `IndexEngine.scores`."""

    generation: int
    texts: tuple[TextRanking, ...]
    vector: Ranking | None = None
    moment: Any = None


class RowScores(msgspec.Struct, frozen=True, eq=False):
    """Scores of given rows, in their order: `texts` for each text query float32 (n,), 0 for a row without any of its
    terms, and `distances` float32 (n,) from the vector, None without one."""

    texts: tuple[FloatVector, ...]
    distances: Distances | None = None


class NearTerm(msgspec.Struct, frozen=True):
    """A term of a text field near another: how many typing errors apart, in how many `rows`, and the keys of some."""

    term: str
    distance: int
    rows: int
    keys: tuple[str, ...]


NearTerms: TypeAlias = "list[tuple[NearTerm, ...]]"


class IndexEngine(Protocol):
    """One index. Every call sees all changes acknowledged before it began, in this or any other process.

    Raises (all methods): IndexNotFound when the index was deleted meanwhile; StoreError subclasses for trouble with the
    folder.
    """

    @property
    def spec(self) -> IndexSpec:
        """What the index is."""
        ...

    def put(self, keys: Sequence[str], vectors: FloatMatrix, metadata: Sequence[bytes | None]) -> None:
        """Insert or replace, all or nothing, durable on return.

        `keys` are distinct; `vectors` is C-contiguous float32 (len(keys), dimension), already checked; `metadata` are
        JSON objects in UTF-8, or None for no metadata (read back as `{}`).
        """
        ...

    def put_batches(self, batches: Iterable[Batch]) -> int:
        """As one `put` of all batches, which are asked for one by one: all or nothing, also when asking for one raises.
        No key is in two of them. Memory is needed for one batch at a time. Returns the number of records."""
        ...

    def delete(self, keys: Sequence[str]) -> int:
        """Delete the records with these keys, all or nothing, durable on return; absent keys are ignored. Returns how
        many were there."""
        ...

    def delete_where(self, where: Filter) -> int:
        """Delete every record that satisfies the filter, in one transaction; returns how many."""
        ...

    def get(self, keys: Sequence[str], *, data: bool, metadata: bool) -> list[Record]:
        """The records with these keys in the order asked for, absent ones left out."""
        ...

    def scan(
        self,
        *,
        after: str | None = None,
        limit: int,
        where: Filter = EVERYTHING,
        segment: tuple[int, int] = (0, 1),
        max_bytes: int | None = None,
        data: bool = False,
        metadata: bool = False,
        damaged: Damaged = "raise",
    ) -> Listing:
        """Records in byte order of key, from the first key greater than `after`, at most `limit` of them.

        `segment` (i, n) keeps the i-th of n disjoint parts that together hold every key; which part a key is in never
        changes. A page ends early once its keys, data and metadata exceed `max_bytes`; it always holds at least one
        record if any is left.

        Records with data or metadata are compared with their checksums. Damaged ones are left out with `damaged`
        "skip", and named in the result and in the log.

        Raises:
            Corrupted: a record is damaged; its key and row are named.
        """
        ...

    def count(self, where: Filter = EVERYTHING) -> int:
        """How many records satisfy the filter."""
        ...

    def search(self, queries: FloatMatrix, *, k: int, where: Filter = EVERYTHING, effort: float = 1.0) -> list[Ranking]:
        """One ranking a query (also for one query), each of min(k, matches) rows. `queries` is float32 (m, dimension),
        checked. An `effort` above 1 searches about so many times as much as the recall target takes, below 1 less;
        infinity searches exactly."""
        ...

    def explain(
        self,
        query: FloatVector | None,
        *,
        k: int,
        where: Filter = EVERYTHING,
        effort: float = 1.0,
        texts: Sequence[TextQuery] = (),
    ) -> Explanation:
        """Search for `query` float32 (dimension,), or `texts`, or both as `rank` does, to depth `k`, and tell how that
        went, step by step."""
        ...

    def rank(
        self,
        *,
        vector: FloatVector | None,
        texts: Sequence[TextQuery],
        depth: int,
        where: Filter = EVERYTHING,
        counted: Filter = EVERYTHING,
        effort: float = 1.0,
    ) -> Ranked:
        """The at most `depth` best rows for each text and for the `vector` float32 (dimension,), of those that satisfy
        the filter, all of one moment.

        How rare a word is and how long texts are counts over the rows that satisfy `counted`: those that the asker may
        see, so that scores tell nothing of the others.

        Raises:
            InvalidRequest: a text asks for a key that is no text field. MissingExtra: the library that tells the words
            of its language apart is not installed.
        """
        ...

    def scores(
        self, rows: RowArray, *, ranked: Ranked, vector: FloatVector | None, texts: Sequence[TextQuery]
    ) -> RowScores:
        """What `rank` would have given these rows, exactly, in that moment: the lists in `ranked` lack some. `vector`
        and `texts` as given to `rank`. Raises as that."""
        ...

    def near_terms(self, key: str, terms: Sequence[str], *, most: Sequence[int], where: Filter) -> NearTerms:
        """For each term, those of a text field that lie at most so many typing errors from it, counted among the rows
        that satisfy the filter, where there are any; nearest first, then the most frequent.

        Raises as `rank`.
        """
        ...

    def word_lists(self, *, by: str) -> WordLists:
        """The words of the index as of now, and the groups of rows with the same text under the metadata key `by`."""
        ...

    def text_status(self) -> dict[str, TextStatus]:
        """Of each text field, by key, whether its lists are there."""
        ...

    def fetch(
        self,
        rows: RowArray,
        *,
        generation: int,
        data: bool,
        metadata: bool,
        drop_deleted: bool = False,
        keys: Sequence[str] | None = None,
    ) -> list[Record | None]:
        """The records at these rows of an earlier ranking, in that order, as they were when it was made. `keys` are
        theirs, where the ranking has them.

        With `drop_deleted`, a row is None when its key was deleted since (a key that was replaced keeps the version
        ranked).
        Raises ExpiredToken when `generation` is no longer kept.
        """
        ...

    def save_ranking(self, ranking: Ranking, *, request: bytes, ttl: float) -> str:
        """Keep a ranking for `ttl` seconds for later pages, visible to every process; returns an id of at most 64
        characters."""
        ...

    def load_ranking(self, cursor: str, *, request: bytes) -> Ranking:
        """The saved ranking. Raises InvalidToken when it belongs to another `request`, ExpiredToken when it is no
        longer kept."""
        ...

    def tune(self, *, recall_target: float | None = None, queries: FloatMatrix | None = None, k: int = 10) -> Tuning:
        """Search for another recall from now on, in every process, without building anything.

        With `queries` float32 (m, dimension), checked, the effort is chosen so that these reach the target.
        """
        ...

    def stats(self) -> IndexStats:
        """Figures for people and tools; `exact_rows` are those that no segment covers."""
        ...

    def optimize(self) -> None:
        """Compact and build whatever is due and return when it serves; what another process is building is left to
        it."""
        ...

    def compact(self) -> None:
        """Reclaim the space of deleted and replaced records now, however few they are; returns when it is done.

        Readers, writers and kept rankings are not disturbed. Raises StoreFull when there is no space for a copy of what
        lives, and nothing was changed.
        """
        ...


class Catalog(Protocol):
    """Buckets, indexes and what hangs on them. Names are valid already; every change is durable on return."""

    def create_bucket(self, bucket: BucketInfo, *, tags: dict[str, str], max_buckets: int | None) -> None:
        """Raises BucketExists, QuotaExceeded."""
        ...

    def bucket(self, name: str) -> BucketInfo:
        """Raises BucketNotFound."""
        ...

    def buckets(self, *, prefix: str, after: str | None, limit: int) -> Page:
        """A page of BucketInfo."""
        ...

    def delete_bucket(self, name: str) -> None:
        """Raises BucketNotFound, BucketNotEmpty."""
        ...

    def set_bucket_index_mode(self, name: str, mode: str) -> None:
        """Raises BucketNotFound."""
        ...

    def create_index(
        self,
        spec: IndexSpec,
        *,
        tags: dict[str, str],
        max_indexes: int | None,
        text: Sequence[TextField] = (),
        properties: Mapping[str, Any] | None = None,
    ) -> None:
        """With these text fields and properties. Raises BucketNotFound, IndexExists, QuotaExceeded."""
        ...

    def index(self, bucket: str, name: str) -> IndexSpec:
        """Raises BucketNotFound, IndexNotFound."""
        ...

    def index_by_uid(self, uid: str) -> IndexSpec:
        """Raises IndexNotFound."""
        ...

    def indexes(self, bucket: str, *, prefix: str, after: str | None, limit: int) -> Page:
        """A page of IndexSpec. Raises BucketNotFound."""
        ...

    def delete_index(self, bucket: str, name: str) -> None:
        """Drop the index and all its vectors, and the indexes that belong to it (`OWNER`), in one transaction. Raises
        BucketNotFound, IndexNotFound."""
        ...

    def swap_indexes(self, bucket: str, one: str, other: str) -> None:
        """Two indexes exchange their names, in one transaction. Raises BucketNotFound, IndexNotFound."""
        ...

    def set_index_mode(self, uid: str, mode: str) -> None:
        """Raises IndexNotFound."""
        ...

    def text_fields(self, uid: str) -> tuple[TextField, ...]:
        """The text fields of an index, in the order that they were given. Raises IndexNotFound."""
        ...

    def change_text_fields(
        self, uid: str, change: Callable[[tuple[TextField, ...]], Sequence[TextField]]
    ) -> tuple[TextField, ...]:
        """Replace the text fields, of distinct keys, by what `change` makes of them, in one transaction, and return
        them; what it raises changes nothing. The engine makes lists for those that are new. Raises IndexNotFound."""
        ...

    def policy(self, bucket: str) -> str:
        """The policy text. Raises BucketNotFound, PolicyNotFound."""
        ...

    def put_policy(self, bucket: str, policy: str) -> None:
        """Raises BucketNotFound."""
        ...

    def delete_policy(self, bucket: str) -> None:
        """Raises BucketNotFound; deleting an absent policy succeeds."""
        ...

    def tags(self, bucket: str, index: str | None) -> dict[str, str]:
        """The tags of a bucket, or of one of its indexes. Raises BucketNotFound, IndexNotFound."""
        ...

    def change_tags(self, bucket: str, index: str | None, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
        """Replace the tags by what `change` makes of them, in one transaction; what it raises changes nothing.

        Raises BucketNotFound, IndexNotFound.
        """
        ...

    def property(self, uid: str, name: str) -> Any:
        """A JSON value that a layer above keeps with an index, None when it was never set. Raises IndexNotFound."""
        ...

    def property_names(self, uid: str, *, prefix: str) -> list[str]:
        """The names of its properties that begin with this, in order. Raises IndexNotFound."""
        ...

    def set_property(self, uid: str, name: str, value: Any, *, expected: Any = ...) -> bool:
        """Set a JSON value (None removes it); with `expected`, only if that is the present value, and tell whether.
        Raises IndexNotFound."""
        ...


class Engine(Protocol):
    """A store: its catalog and the indexes in it."""

    @property
    def catalog(self) -> Catalog:
        """Its buckets and indexes."""
        ...

    @property
    def token_key(self) -> bytes:
        """The secret of the store, at most 64 bytes, with which its page tokens are signed: the same in every process
        that has it open, if tokens are to be good in all of them."""
        ...

    def index(self, spec: IndexSpec) -> IndexEngine:
        """The open index of this spec (the same object while it stays open)."""
        ...

    def close(self) -> None:
        """Release files and connections, after background work has ended. The store may be opened again."""
        ...

    def opened(self) -> Iterator[IndexEngine]:
        """The indexes open in this process."""
        ...
