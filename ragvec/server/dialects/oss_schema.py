"""The schema of a fusion index of OSS: which vector, texts and values its records have.

    {"fields": [{"name": "text_vector", "type": "vector", "dimension": 768, "distanceMetric": "euclidean"},
                {"name": "title", "type": "string", "exactMatch": true, "text": {"enabled": true}},
                {"name": "price", "type": "double"}]}

An index of ours has one vector, so a schema has one vector field; texts are cut into words in one way ("standard").
What else the service can do is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from ragvec.api.dialects import OSS
from ragvec.api.settings import setting
from ragvec.engine.protocol import Catalog, IndexSpec
from ragvec.errors import InvalidMetadata, InvalidRequest
from ragvec.types import Metric

__all__ = ["SCHEMA", "STANDARD_VECTOR", "FusionSchema", "FusionSchemas", "fusion_schema"]

SCHEMA = "oss.schema"
"""The name under which an index keeps its schema."""
STANDARD_VECTOR = "float32"
"""The name of the vector in an index that is no fusion index."""

_MOST_FIELDS, _MOST_TEXTS = 100, 8
_NAME = "[A-Za-z][A-Za-z0-9_]{0,62}"
_OF_VECTORS = frozenset({"name", "type", "dataType", "dimension", "distanceMetric"})
_OF_VALUES = frozenset({"name", "type", "exactMatch"})
_OF_TEXTS = frozenset({"enabled", "analyzer", "analyzerParameters"})
_KINDS: dict[str, tuple[type, ...]] = {"string": (str,), "long": (int,), "double": (int, float), "bool": (bool,)}
_KEPT = 1024


class FusionSchema(msgspec.Struct, frozen=True):
    """A checked schema: the vector field, the types of the others by name, the `texts` that are searched by their
    words, and what no filter may name. `document` is as it was given."""

    vector: str
    dimension: int
    metric: Metric
    values: Mapping[str, str]
    texts: tuple[str, ...]
    not_filterable: tuple[str, ...]
    document: Mapping[str, Any]

    def check(self, metadata: Any, path: str) -> None:
        """Raise InvalidMetadata where a value is not of the type that its field has. Fields may be absent, and others
        be there."""
        if not isinstance(metadata, dict):
            return  # what it may be at all, the operation says
        for name in metadata.keys() & self.values.keys():
            kind = self.values[name]
            value = metadata[name]
            each = value if isinstance(value, list) else [value]
            if not all(isinstance(one, _KINDS[kind]) and isinstance(one, bool) == (kind == "bool") for one in each):
                raise InvalidMetadata(
                    f"Expected {kind} for the field {name!r} of the schema, got {value!r:.60}", path=f"{path}.{name}"
                )


class FusionSchemas:
    """The schemas of indexes, read once each: they never change. Safe to use from several threads."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._known: dict[str, FusionSchema | None] = {}

    def of(self, spec: IndexSpec) -> FusionSchema | None:
        """The schema of this index, None where it is no fusion index. Raises IndexNotFound."""
        try:
            return self._known[spec.uid]
        except KeyError:
            text = setting(self._catalog, SCHEMA, bucket=spec.bucket, index=spec.name)
        schema = None if text is None else fusion_schema(msgspec.json.decode(text))
        if self._catalog.index(spec.bucket, spec.name).uid == spec.uid:
            # Else it was made again under its name meanwhile, and what was read is another's.
            if len(self._known) >= _KEPT:
                self._known.clear()
            self._known[spec.uid] = schema
        return schema


def fusion_schema(document: Any) -> FusionSchema:
    """The schema that a `schemaConfiguration` describes.

    Raises:
        InvalidRequest: it is malformed, or asks for what there is not; `path` and message name the part.
    """
    place = "/schemaConfiguration"
    fields = _members(document, {"fields"}, place).get("fields")
    if not isinstance(fields, list) or not 1 <= len(fields) <= _MOST_FIELDS:
        raise _refused(f"{place}/fields", f"must be an array of 1 to {_MOST_FIELDS} fields")
    vectors: list[dict[str, Any]] = []
    values: dict[str, str] = {}
    texts, not_filterable = [], []
    names: set[str] = set()
    for at, given in enumerate(fields):
        path = f"{place}/fields/{at}"
        field = _members(given, _OF_VECTORS | _OF_VALUES | {"text"}, path)
        name, kind = _named(field, names, path), field.get("type")
        if kind == "vector":
            vectors.append(_vector(_members(given, _OF_VECTORS, path), path))
            continue
        if not isinstance(kind, str) or kind not in _KINDS:
            raise _refused(f"{path}/type", f"must be vector, {', '.join(_KINDS)}; got {kind!r:.60}")
        _members(given, _OF_VALUES | {"text"} if kind == "string" else _OF_VALUES, path)
        values[name] = kind
        if _flag(field, "exactMatch", path, default=True) is False:
            not_filterable.append(name)
        if "text" in field and _is_searched(field["text"], f"{path}/text"):
            texts.append(name)
    if len(vectors) != 1:
        raise _refused(f"{place}/fields", f"must have one field of type vector: an index has one; got {len(vectors)}")
    if len(texts) > _MOST_TEXTS:
        raise _refused(f"{place}/fields", f"may have {_MOST_TEXTS} fields with text, got {len(texts)}")
    (vector,) = vectors
    return FusionSchema(
        vector=vector["name"],
        dimension=vector["dimension"],
        metric=cast("Metric", vector["distanceMetric"]),
        values=values,
        texts=tuple(texts),
        not_filterable=tuple(not_filterable),
        document=document,
    )


def _named(field: dict[str, Any], names: set[str], path: str) -> str:
    name = field.get("name")
    if not isinstance(name, str) or not re.fullmatch(_NAME, name):
        rule = "must be 1 to 63 letters, digits and '_', beginning with a letter"
        raise _refused(f"{path}/name", f"{rule}; got {name!r:.80}")
    if name in names:
        raise _refused(f"{path}/name", f"is there twice: {name!r}")
    names.add(name)
    return name


def _vector(field: dict[str, Any], path: str) -> dict[str, Any]:
    whole = {"dataType": "float32", "distanceMetric": "euclidean", **field}
    if whole["dataType"] != "float32":
        raise _refused(f"{path}/dataType", f"must be float32, got {whole['dataType']!r:.60}")
    if whole["distanceMetric"] not in ("euclidean", "cosine"):
        raise _refused(f"{path}/distanceMetric", f"must be euclidean or cosine, got {whole['distanceMetric']!r:.60}")
    dimension = whole.get("dimension")
    most = OSS.limits.dimension_max
    if type(dimension) is not int or not 1 <= dimension <= most:
        raise _refused(f"{path}/dimension", f"must be an integer from 1 to {most}, got {dimension!r:.60}")
    return whole


def _is_searched(given: Any, path: str) -> bool:
    text = _members(given, _OF_TEXTS, path)
    analyzer = text.get("analyzer", "standard")
    if analyzer != "standard":
        raise _refused(f"{path}/analyzer", f"is not supported: expected standard, got {analyzer!r:.60}")
    if text.get("analyzerParameters"):
        raise _refused(f"{path}/analyzerParameters", "are not those of the analyzer standard, which has none")
    return _flag(text, "enabled", path, default=False)


def _flag(members: dict[str, Any], name: str, path: str, *, default: bool) -> bool:
    value = members.get(name, default)
    if not isinstance(value, bool):
        raise _refused(f"{path}/{name}", f"must be true or false, got {value!r:.60}")
    return value


def _members(value: Any, known: frozenset[str] | set[str], path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _refused(path, f"must be an object, got {value!r:.60}")
    unknown = sorted(value.keys() - known)
    if unknown:
        raise _refused(f"{path}/{unknown[0]}", f"is not known here; expected {', '.join(sorted(known))}")
    return value


def _refused(path: str, text: str) -> InvalidRequest:
    return InvalidRequest(f"{path} {text}", path=path)
