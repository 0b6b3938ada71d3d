"""QueryVectorsFusion of Alibaba Cloud OSS, brought into the form of our own searches, as far as it fits.

The body is that of the operation's SDKs (alibabacloud_oss_v2 1.4, July 2026):

    knn        {field, queryVector, topK, numCandidates, boost, filter}, or a list of one
    query      {"f": {"$eq": {"value": v}}}, {"$and": {"clauses": […]}}, {"f": {"$textMatch": {"value": "words"}}} …,
               also without the object around value or clauses
    retriever  instead of the two: {"simple": {query}}, {"knn": …}, {"rrf": {k, windowSize, retrievers}} or {"weight":
               {windowSize, retrievers}}, whose retrievers are 1 to 3 of {retriever, weight, normalizer}
    limit, sort, returnMetadata, returnMetadataFields, nextToken

The service documents no formula of its scores. Ours are those of `ragvec.search`: BM25, the negated distance of a
vector, and their fusion. What they cannot express is refused by name, never left out: several vectors, other sorts than
by score, partitions, nested retrievers, the normalizer l2, rankings with different filters, and texts that must all
match.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from ragvec.engine.protocol import TextQuery
from ragvec.errors import InvalidRequest
from ragvec.search.fuse import Fusion, ReciprocalRank, WeightedSum
from ragvec.search.request import DEPTH

__all__ = ["FusionSearch", "fusion_search"]

_KNOWN = frozenset({"indexName", "knn", "query", "retriever", "sort", "limit", "nextToken", "partitionKeys"}) | {
    "returnMetadata",
    "returnMetadataFields",
}
_BESIDE_RETRIEVER = frozenset({"indexName", "limit", "partitionKeys", "returnMetadata", "returnMetadataFields"})
_LIMIT = 10
_RRF_CONSTANT = 50
_MOST_RETRIEVERS = 3
_NORMALIZERS: dict[str, Literal["none", "min-max"]] = {"none": "none", "minMax": "min-max"}
_LOGICAL = ("$and", "$or")
_TEXT_MATCH = "$textMatch"


class FusionSearch(msgspec.Struct, frozen=True, kw_only=True):
    """A search as `ragvec.search` does it: by `vector`, by `texts`, or both, fused by `fusion` out of rankings `depth`
    rows long; with neither, whatever satisfies `where` is a hit, and all are as good. `where` is a filter as in
    QueryVectors, None for everything; `fields` are the only metadata to return, None for all of them."""

    index_name: str
    vector: Sequence[float] | None = None
    texts: tuple[TextQuery, ...] = ()
    where: dict[str, Any] | None = None
    fusion: Fusion | None = None
    depth: int = DEPTH
    limit: int = _LIMIT
    metadata: bool = False
    fields: tuple[str, ...] | None = None
    next_token: str | None = None


class _Part(NamedTuple):
    """One ranking, or several by text that are added up; `boosts` are of the texts in order, then of the vector."""

    texts: tuple[TextQuery, ...] = ()
    vector: Sequence[float] | None = None
    where: dict[str, Any] | None = None
    boost: float = 1.0
    most: int | None = None


class _Component(NamedTuple):
    """A ranking that a retriever fuses."""

    part: _Part
    weight: float
    normalizer: str


def fusion_search(body: Mapping[str, Any], *, vector_field: str | None = None) -> FusionSearch:
    """The search that the body of a QueryVectorsFusion asks for. `vector_field` is the only name that `knn.field` may
    have, None for any. `topK` and `numCandidates` beside other rankings say how far to look, which an index does by
    itself.

    Raises:
        InvalidRequest: it is malformed, or asks for what there is not; `path` and message name the part.
    """
    unknown = sorted(body.keys() - _KNOWN)
    if unknown:
        raise _refused(f"/{unknown[0]}", f"is no parameter of QueryVectorsFusion; expected {', '.join(sorted(_KNOWN))}")
    if body.get("partitionKeys"):
        raise _refused("/partitionKeys", "is not supported: an index has no partitions")
    _check_sort(body.get("sort"))
    index_name = _typed(body.get("indexName"), str, "/indexName")
    retriever = body.get("retriever")
    if retriever is not None:
        beside = sorted(name for name in body.keys() - _BESIDE_RETRIEVER - {"retriever"} if body[name] is not None)
        if beside:
            raise _refused(f"/{beside[0]}", "cannot be used together with retriever")
        search = _of_retriever(retriever, "/retriever", vector_field)
    else:
        search = _of_clauses(body, vector_field)
    limit = body.get("limit")
    if limit is not None and (_typed(limit, int, "/limit") < 1):
        raise _refused("/limit", f"must be at least 1, got {limit}")
    fields = body.get("returnMetadataFields")
    most = search.limit if limit is None else limit
    if search.vector is not None and not search.texts:
        most = min(most, search.limit)
    return msgspec.structs.replace(
        search,
        index_name=index_name,
        limit=most,
        metadata=bool(body.get("returnMetadata")) or bool(fields),
        fields=None if fields is None else tuple(_typed(fields, list, "/returnMetadataFields")),
        next_token=body.get("nextToken"),
    )


def _of_clauses(body: Mapping[str, Any], vector_field: str | None) -> FusionSearch:
    """`knn`, `query`, or both: their scores are added up."""
    near = None if body.get("knn") is None else _knn(body["knn"], "/knn", vector_field)
    sought = None if body.get("query") is None else _query(body["query"], "/query")
    if near is None and sought is None:
        raise _refused("/query", "must be given, or knn, or a retriever")
    if near is None or sought is None:
        return _alone(near or sought or _Part())
    if not sought.texts:
        if near.where is not None and near.where != sought.where:
            raise _refused("/knn/filter", "must be left out, or the same, where query is a filter")
        return _alone(near._replace(where=sought.where))
    if near.where != sought.where:
        raise _refused("/knn/filter", "must be the filter in query: all rankings are of the same records")
    fusion = WeightedSum(weights=(*(1.0 for _ in sought.texts), near.boost), normalise="none")
    return FusionSearch(index_name="", vector=near.vector, texts=sought.texts, where=near.where, fusion=fusion)


def _of_retriever(node: Any, path: str, vector_field: str | None) -> FusionSearch:
    kind, inner = _only(node, path)
    if kind in ("simple", "knn"):
        return _alone(_leaf(node, path, vector_field))
    if kind not in ("rrf", "weight"):
        raise _refused(f"{path}/{kind}", "is no retriever; expected simple, knn, rrf or weight")
    here = f"{path}/{kind}"
    inner = _typed(inner, Mapping, here)
    allowed = {"windowSize", "retrievers"} | ({"k"} if kind == "rrf" else set())
    for name in sorted(inner.keys() - allowed):
        raise _refused(f"{here}/{name}", f"is no parameter of the {kind} retriever")
    given = _typed(inner.get("retrievers"), list, f"{here}/retrievers")
    if not 1 <= len(given) <= _MOST_RETRIEVERS:
        raise _refused(f"{here}/retrievers", f"must be 1 to {_MOST_RETRIEVERS}, got {len(given)}")
    found = [
        _component(component, f"{here}/retrievers/{at}", vector_field, normalised=kind == "weight")
        for at, component in enumerate(given)
    ]
    # Texts before the vector, as the rankings of a search are.
    found.sort(key=lambda component: component.part.vector is not None)
    _check_together(found, f"{here}/retrievers")
    weights = tuple(component.weight for component in found)
    normalizer = found[0].normalizer
    fusion: Fusion = WeightedSum(weights=weights, normalise=_NORMALIZERS[normalizer])
    if kind == "rrf":
        fusion = ReciprocalRank(constant=_positive(inner.get("k", _RRF_CONSTANT), f"{here}/k"), weights=weights)
    # A factor on all scores of a ranking changes neither its ranks nor its normalised scores.
    scaled = kind == "weight" and normalizer == "none"
    texts = [text for component in found for text in component.part.texts]
    return FusionSearch(
        index_name="",
        vector=found[-1].part.vector,
        texts=tuple(texts if scaled else [TextQuery(text.key, text.text) for text in texts]),
        where=found[0].part.where,
        fusion=fusion,
        depth=_positive(inner.get("windowSize", DEPTH), f"{here}/windowSize"),
    )


def _check_together(found: Sequence[_Component], path: str) -> None:
    normalizers = {component.normalizer for component in found}
    if len(normalizers) > 1:
        raise _refused(path, f"must have one normalizer, got {', '.join(sorted(normalizers))}")
    if sum(component.part.vector is not None for component in found) > 1:
        raise _refused(path, "may hold one knn: an index has one vector field")
    keys = [text.key for component in found for text in component.part.texts]
    if len(set(keys)) < len(keys):
        raise _refused(path, "must search each text field once")
    if any(component.part.where != found[0].part.where for component in found):
        raise _refused(path, "must have the same filter each: all rankings are of the same records")


def _component(component: Any, path: str, vector_field: str | None, *, normalised: bool) -> _Component:
    component = _typed(component, Mapping, path)
    for name in sorted(component.keys() - {"retriever", "weight", "normalizer"}):
        raise _refused(f"{path}/{name}", "is no part of a component; expected retriever, weight and normalizer")
    normalizer = component.get("normalizer", "none")
    if normalizer not in _NORMALIZERS or (not normalised and normalizer != "none"):
        known = ", ".join(_NORMALIZERS) if normalised else "none"
        raise _refused(f"{path}/normalizer", f"is not supported: expected {known}, got {normalizer!r}")
    part = _leaf(component.get("retriever"), f"{path}/retriever", vector_field)
    if len(part.texts) > 1 or (not part.texts and part.vector is None):
        raise _refused(f"{path}/retriever", "must hold one vector or one $textMatch")
    weight = _number(component.get("weight", 1.0), f"{path}/weight")
    return _Component(part, weight * (part.boost if normalised and normalizer == "none" else 1.0), normalizer)


def _leaf(node: Any, path: str, vector_field: str | None) -> _Part:
    kind, inner = _only(node, path)
    if kind == "knn":
        return _knn(inner, f"{path}/knn", vector_field)
    if kind == "simple":
        (_, query) = _only(inner, f"{path}/simple", expected="query")
        return _query(query, f"{path}/simple/query")
    raise _refused(f"{path}/{kind}", "is not supported here: retrievers are not nested; expected simple or knn")


def _alone(part: _Part) -> FusionSearch:
    most = _LIMIT if part.most is None else part.most
    return FusionSearch(index_name="", vector=part.vector, texts=part.texts, where=part.where, limit=most)


def _knn(given: Any, path: str, vector_field: str | None) -> _Part:
    if isinstance(given, list):
        if len(given) != 1:
            raise _refused(path, f"must be one: an index has one vector field; got {len(given)}")
        return _knn(given[0], f"{path}/0", vector_field)
    knn = _typed(given, Mapping, path)
    for name in sorted(knn.keys() - {"field", "queryVector", "topK", "numCandidates", "boost", "filter"}):
        raise _refused(f"{path}/{name}", "is no parameter of knn")
    if vector_field is not None and knn.get("field") != vector_field:
        raise _refused(f"{path}/field", f"must be {vector_field!r}, the vector field, got {knn.get('field')!r}")
    vector = _typed(knn.get("queryVector"), list, f"{path}/queryVector")
    most = _positive(knn.get("topK", _LIMIT), f"{path}/topK")
    if "numCandidates" in knn and _positive(knn["numCandidates"], f"{path}/numCandidates") < most:
        raise _refused(f"{path}/numCandidates", f"must be at least topK, which is {most}")
    condition = None if knn.get("filter") is None else _query(knn["filter"], f"{path}/filter")
    if condition is not None and condition.texts:
        raise _refused(f"{path}/filter", f"must be a filter, without {_TEXT_MATCH}")
    where = None if condition is None else condition.where
    return _Part(vector=vector, where=where, boost=_number(knn.get("boost", 1.0), f"{path}/boost"), most=most)


def _query(node: Any, path: str) -> _Part:
    """A tree of conditions with `$textMatch` at its top, in a top `$and` once, or in a top `$or` of nothing else."""
    name, inner = _only(node, path)
    if name not in _LOGICAL:
        text = _text_match(name, inner, path)
        return _Part(where=_condition(node, path)) if text is None else _Part(texts=(text,))
    clauses = _clauses(inner, f"{path}/{name}")
    parts = [(clause, _text_match(*_only(clause, f"{path}/{name}/{at}"), path)) for at, clause in enumerate(clauses)]
    texts = tuple(text for _, text in parts if text is not None)
    if not texts:
        return _Part(where=_condition(node, path))
    if name == "$or":
        if len(texts) < len(clauses):
            raise _refused(f"{path}/$or", f"must hold either conditions or {_TEXT_MATCH}, not both")
        if len({text.key for text in texts}) < len(texts):
            raise _refused(f"{path}/$or", "must search each text field once")
        return _Part(texts=texts)
    if len(texts) > 1:
        raise _refused(f"{path}/$and", f"may hold one {_TEXT_MATCH}: of several, any may match ($or)")
    rest = [_condition(clause, path) for clause, text in parts if text is None]
    where = None if not rest else rest[0] if len(rest) == 1 else {"$and": rest}
    return _Part(texts=texts, where=where)


def _text_match(name: str, inner: Any, path: str) -> TextQuery | None:
    if name in _LOGICAL or not isinstance(inner, Mapping) or _TEXT_MATCH not in inner:
        return None
    _, operand = _only(inner, f"{path}/{name}", expected=_TEXT_MATCH)
    place, boost = f"{path}/{name}/{_TEXT_MATCH}", 1.0
    if isinstance(operand, Mapping):
        for part in sorted(operand.keys() - {"value", "boost"}):
            raise _refused(f"{place}/{part}", "is not supported: expected value and boost")
        boost = _number(operand.get("boost", 1.0), f"{place}/boost")
        operand = operand.get("value")
    if boost == 0:
        raise _refused(f"{place}/boost", "must be above 0: leave out what does not count")
    return TextQuery(name, _typed(operand, str, place), boost)


def _condition(node: Any, path: str) -> dict[str, Any]:
    """A condition, without the objects around its operands."""
    name, inner = _only(node, path)
    here = f"{path}/{name}"
    if name in _LOGICAL:
        return {name: [_condition(clause, f"{here}/{at}") for at, clause in enumerate(_clauses(inner, here))]}
    if name.startswith("$"):
        raise _refused(here, "is not supported: expected $and, $or or the name of a field")
    if not isinstance(inner, Mapping):
        return {name: inner}
    found = {}
    for operator, operand in inner.items():
        if operator == _TEXT_MATCH:
            raise _refused(f"{here}/{operator}", "must be at the top of the query, or in a $and or $or at the top")
        if isinstance(operand, Mapping):
            _, operand = _only(operand, f"{here}/{operator}", expected="value")
        found[operator] = operand
    return {name: found}


def _clauses(inner: Any, path: str) -> list[Any]:
    if isinstance(inner, Mapping):
        _, inner = _only(inner, path, expected="clauses")
    return list(_typed(inner, list, path))


def _check_sort(sort: Any) -> None:
    if sort is None:
        return
    for at, entry in enumerate(_typed(sort, list, "/sort")):
        name, order = _only(entry, f"/sort/{at}")
        if (
            name not in ("_score", "score")
            or (order.get("order", "desc") if isinstance(order, Mapping) else "") != "desc"
        ):
            raise _refused(f"/sort/{at}", 'is not supported: hits are in order of score, {"_score": {"order": "desc"}}')


def _only(node: Any, path: str, *, expected: str | None = None) -> tuple[str, Any]:
    """The name and value of an object's only member."""
    node = _typed(node, Mapping, path)
    if len(node) != 1 or (expected is not None and expected not in node):
        what = "one member" if expected is None else f"{expected!r} alone"
        raise _refused(path, f"must have {what}, got {', '.join(map(repr, node)) or 'none'}")
    ((name, value),) = node.items()
    return str(name), value


def _typed(value: Any, kind: type[Any], path: str) -> Any:
    if not isinstance(value, kind) or isinstance(value, bool):
        names = {str: "a text", list: "an array", int: "an integer"}
        raise _refused(path, f"must be {names.get(kind, 'an object')}, got {value!r:.60}")
    return value


def _number(value: Any, path: str) -> float:
    plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not plain or not 0 <= value < math.inf:
        raise _refused(path, f"must be a number from 0, got {value!r:.60}")
    return float(value)


def _positive(value: Any, path: str) -> int:
    if _typed(value, int, path) < 1:
        raise _refused(path, f"must be at least 1, got {value}")
    return int(value)


def _refused(path: str, text: str) -> InvalidRequest:
    return InvalidRequest(f"{path} {text}", path=path)
