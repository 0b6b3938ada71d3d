"""The Python that asks a question again, to be copied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ragvec.kendra.request.native import Facet
from ragvec.widgets.question import DEPTH, Question

if TYPE_CHECKING:
    from ragvec.kendra.index import QueryIndex

__all__ = ["python_of"]


def python_of(query_index: QueryIndex, question: Question) -> str:
    """The exact call: run where the widget runs, it finds the same."""
    index = query_index.index
    store = index.bucket.store
    by_search = question.mode == "query" or not question.text.strip()
    lines = ["import ragvec"]
    if by_search and question.facets:
        lines.append("from ragvec.kendra import Facet")
    opened = f"ragvec.Store({str(store.path)!r})" if store.path is not None else "store  # the store over your engine"
    lines += [
        "",
        f"store = {opened}" if store.path is not None else opened,
        f"index = store.bucket({index.bucket.name!r}).index({index.name!r})",
        "query_index = ragvec.QueryIndex(index)",
    ]
    if query_index._given is not None:
        lines[-1] = "query_index = ragvec.QueryIndex(index, embedder=embedder)  # the embedder that you gave"
    if by_search:
        return "\n".join([*lines, *_search(question)])
    access = _given(user=question.user, groups=question.groups if question.groups is None else list(question.groups))
    inner = [] if question.where is None else [repr(question.where)]
    inner += [f"{name}={value!r}" for name, value in access.items()]
    where = f"    where=query_index.condition({', '.join(inner)}),"
    vector = [] if question.mode == "text" else [f"    query_index.embedder.embed_query({question.text!r}),"]
    text = [] if question.mode == "dense" else [f"    text={question.text!r},"]
    return "\n".join([*lines, "passages = index.query(", *vector, *text, f"    k={DEPTH},", where, ")"])


def _search(question: Question) -> list[str]:
    arguments: dict[str, Any] = _given(
        where=question.where,
        sort=question.sort or None,
        page=question.page if question.page > 1 else None,
        page_size=question.page_size if question.page_size != 10 else None,
        user=question.user,
        groups=None if question.groups is None else list(question.groups),
    )
    lines = [f"    {question.text or None!r},", *(f"    {name}={value!r}," for name, value in arguments.items())]
    if question.facets:
        lines += ["    facets=[", *(f"        {_facet(facet)}," for facet in question.facets), "    ],"]
    return ["results = query_index.search(", *lines, "    spelling=True,", ")"]


def _facet(facet: Facet) -> str:
    plain = Facet("")
    members = [f"{name}={getattr(facet, name)!r}" for name in facet.__struct_fields__[1:]]
    changed = [m for m, name in zip(members, facet.__struct_fields__[1:], strict=True) if _differs(facet, plain, name)]
    return f"Facet({', '.join([repr(facet.name), *changed])})"


def _differs(facet: Facet, plain: Facet, name: str) -> bool:
    return bool(getattr(facet, name) != getattr(plain, name))


def _given(**arguments: Any) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not None}
