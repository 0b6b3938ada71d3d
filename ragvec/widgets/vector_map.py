"""`VectorMap`: the vectors of an index as points, coloured by an attribute, with a lasso."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

import anywidget
import numpy as np
import traitlets

from ragvec.api.arguments import at_least_one
from ragvec.errors import InvalidRequest, RagvecError
from ragvec.filters.nodes import Filter
from ragvec.kendra.attributes import BUILT_IN
from ragvec.kendra.markup import value_text
from ragvec.pipeline.passages import DOCUMENT_ID, DOCUMENT_TITLE, TEXT
from ragvec.widgets.fields import label_of
from ragvec.widgets.front_end import CSS, module_of
from ragvec.widgets.projection import Projection, plane

if TYPE_CHECKING:
    from ragvec.store import Index
    from ragvec.types import Record

__all__ = ["VectorMap"]

_COLOURS = 10
_MOST_COLOURABLE = 200
_ABOUT = 160
_NOT_COLOURS = frozenset({DOCUMENT_TITLE, TEXT})
_DATES = frozenset(field.name for field in BUILT_IN if field.type == "DATE_VALUE")


class VectorMap(anywidget.AnyWidget):
    """The first `most` vectors of an index that satisfy `where`, in order of key, as points.

    `colour` is the metadata key whose values are colours, nine of them and "others". A lasso drawn with the mouse, or
    with the keyboard a click on a value of the legend, chooses points: `keys` are then their keys, to be observed, for
    `index.get` or a look at them. `points` is the float32 (n, 2) array of places.

    Raises:
        InvalidRequest: there is no such projection, `most` is below 1. MissingExtra: UMAP is not installed.
    """

    _esm = module_of("map")
    _css = CSS

    keys_chosen = traitlets.Tuple(help="the keys of the points chosen")
    colour = traitlets.Unicode("", help="the metadata key whose values are colours")
    _view = traitlets.Dict().tag(sync=True)
    _places = traitlets.Bytes(b"").tag(sync=True)
    _groups = traitlets.Bytes(b"").tag(sync=True)

    def __init__(
        self,
        index: Index,
        *,
        where: Mapping[str, Any] | Filter | None = None,
        most: int = 5000,
        projection: Projection = "pca",
        colour: str = "",
    ) -> None:
        self.index = index
        self.where = where
        records = list(islice(index.iter(where=where, data=True), at_least_one(most, "most")))
        self.map_keys = tuple(record.key for record in records)
        self._metadata = [_without_text(record) for record in records]
        vectors = np.stack([record.data for record in records if record.data is not None]) if records else _none()
        self.projection = projection
        self.points = plane(vectors, projection=projection)
        self._total = index.count(where)
        self._about = [_about(record) for record in records]
        self.colours = _colourable(self._metadata)
        super().__init__()
        self._places = self.points.tobytes()
        self.observe(lambda _: self._show(), ["colour"])
        self.on_msg(self._on_message)
        self.colour = colour or next(iter(self.colours), "")
        if not self.colour:
            self._show()

    def __repr__(self) -> str:
        return f"VectorMap({self.index!r}, {len(self.points):,} of {self._total:,} vectors by {self.projection})"

    def choose(self, positions: Any) -> tuple[str, ...]:
        """Choose points by their positions, and return their keys."""
        wanted = sorted({int(position) for position in positions})
        if wanted and not 0 <= wanted[0] <= wanted[-1] < len(self.map_keys):
            raise InvalidRequest(
                f"Expected positions below {len(self.map_keys)}, got {wanted[0]} to {wanted[-1]}", path="positions"
            )
        self.keys_chosen = tuple(self.map_keys[position] for position in wanted)
        return tuple(self.keys_chosen)

    def _show(self, error: str = "") -> None:
        try:
            names, groups = self._grouped()
        except RagvecError as problem:
            error, names, groups = str(problem), [], np.zeros(len(self.points), np.uint8)
        self._groups = groups.tobytes()
        self._view = {
            "name": f"{self.index.bucket.name}/{self.index.name}",
            "legend": names,
            "colour": self.colour,
            "colours": [[name, label_of(name)] for name in self.colours],
            "about": self._about,
            "total": self._total,
            "projection": self.projection.upper(),
            "error": error,
        }

    def _grouped(self) -> tuple[list[list[Any]], np.ndarray[Any, np.dtype[np.uint8]]]:
        """The legend, [value, count] by colour, and the colour of each point; the last is that of all other values."""
        if not self.colour:
            return [["all", len(self.points)]], np.zeros(len(self.points), np.uint8)
        texts = [_text(metadata.get(self.colour), self.colour) for metadata in self._metadata]
        counts = Counter(texts)
        if self.colour not in self.colours and set(counts) == {"none"}:
            raise InvalidRequest(f"No record here has the metadata key {self.colour!r} - at `colour`", path="colour")
        first = [text for text, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[: _COLOURS - 1]]
        place = {text: at for at, text in enumerate(first)}
        groups = np.array([place.get(text, len(first)) for text in texts], np.uint8)
        legend: list[list[Any]] = [[text, counts[text]] for text in first]
        rest = len(texts) - sum(count for _, count in legend)
        return [*legend, *([["others", rest]] if rest else [])], groups

    def _on_message(self, _: Any, content: Any, __: Any) -> None:
        """What the front end says: which points are chosen, or which attribute is coloured."""
        if not isinstance(content, dict):
            self._show(f"Expected an object, got {type(content).__name__}")
            return
        try:
            if content.get("do") == "choose":
                self.choose(content.get("points", ()))
            elif content.get("do") == "colour":
                self.colour = content.get("name", "")
            else:
                self._show(f"Expected choose or colour, got {content.get('do')!r}")
        except (RagvecError, traitlets.TraitError, TypeError, ValueError) as error:
            self._show(str(error))


def _none() -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.zeros((0, 1), np.float32)


def _without_text(record: Record) -> dict[str, Any]:
    return {name: value for name, value in (record.metadata or {}).items() if name != TEXT}


def _about(record: Record) -> str:
    """What is said of a point: the title or document, the key, and the beginning of the text."""
    metadata = record.metadata or {}
    text = " ".join(str(metadata.get(TEXT, "")).split())
    head = str(metadata.get(DOCUMENT_TITLE) or metadata.get(DOCUMENT_ID) or "")
    parts = [part for part in (head, record.key, text if len(text) <= _ABOUT else text[: _ABOUT - 1] + "…") if part]
    return "\n".join(parts)


def _colourable(every: list[dict[str, Any]]) -> tuple[str, ...]:
    """The keys whose values are shared by several records, an index's own first."""
    values: dict[str, Counter[str]] = {}
    for metadata in every:
        for name, value in metadata.items():
            if name not in _NOT_COLOURS:
                values.setdefault(name, Counter())[_text(value, name)] += 1
    shared = [
        name
        for name, counts in values.items()
        if 1 < len(counts) <= _MOST_COLOURABLE and sum(counts.values()) >= 2 * len(counts)
    ]
    return tuple(sorted(shared, key=lambda name: (name.startswith("_"), name)))


def _text(value: Any, name: str) -> str:
    if value is None:
        return "none"
    if name in _DATES and isinstance(value, (int, float)):
        return str(np.datetime64(int(value), "s").astype("datetime64[Y]"))
    return value_text(value)
