"""`ragvec vectors`: list, get, put, query, delete and count the vectors of an index."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ragvec.cli.arguments import Commands, add_where, command, count, json_vector, target
from ragvec.cli.opening import embedder_name, existing_store, open_index, text_index
from ragvec.cli.output import Output, metadata_text, number_text, table
from ragvec.cli.problems import CommandError, UsageError
from ragvec.cli.records import parse_line, read_lines, shortest, store_lines

if TYPE_CHECKING:
    from rich.console import Console

    from ragvec.search.results import Hit
    from ragvec.store import Index
    from ragvec.types import Record

__all__ = ["add"]


def add(commands: Commands[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the commands."""
    group = command(
        commands,
        "vectors",
        run=None,
        summary="list, get, put, query, delete or count vectors",
        description="Work on the vectors of an index: keys, numbers and metadata.",
        examples=(
            "ragvec vectors list work/notes --limit 5\nragvec vectors query work/notes --text 'annual leave' --top-k 3"
        ),
        parents=(common,),
    )
    actions = group.add_subparsers(title="actions", metavar="ACTION", required=True)
    for add_action in (_add_list, _add_get, _add_put, _add_query, _add_delete, _add_count):
        add_action(actions, common)


def _add_list(actions: Commands[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    parser = command(
        actions,
        "list",
        run=_list,
        summary="list vectors in order of key",
        examples=(
            "ragvec vectors list work/notes\n"
            'ragvec vectors list work/notes --limit 1000 --json --token "$TOKEN"\n'
            'ragvec vectors list work/notes --where \'{"year": {"$gte": 2024}}\''
        ),
        parents=(common,),
    )
    parser.add_argument("index", metavar="BUCKET/INDEX", type=target)
    parser.add_argument("--limit", metavar="N", type=count, default=20, help="how many at most (default: %(default)s)")
    parser.add_argument("--token", metavar="TOKEN", help="go on where an earlier list ended (its nextToken)")
    add_where(parser, help="only vectors whose metadata satisfy this filter")
    _add_parts(parser)


def _add_get(actions: Commands[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    parser = command(
        actions,
        "get",
        run=_get,
        summary="get vectors by key",
        description="Get vectors by key, in the order asked for. Exit code 1 if any is absent.",
        examples="ragvec vectors get work/notes a b\nragvec vectors get work/notes a --data --json",
        parents=(common,),
    )
    parser.add_argument("index", metavar="BUCKET/INDEX", type=target)
    parser.add_argument("keys", metavar="KEY", nargs="+")
    _add_parts(parser)
    parser.set_defaults(list_argument="keys")


def _add_put(actions: Commands[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    parser = command(
        actions,
        "put",
        run=_put,
        summary="insert or replace vectors from JSON lines",
        description=(
            "Insert or replace vectors from JSON lines, plain or gzip, one object a line:\n"
            '  {"key": "a", "data": [0.1, 0.2], "metadata": {"year": 2024}}\n\n'
            "`data` may be called `vector`; `metadata` may be left out. They are stored in batches, each all or "
            "nothing."
        ),
        examples="ragvec vectors put work/images vectors.jsonl\nmake-vectors | ragvec vectors put work/images",
        parents=(common,),
    )
    parser.add_argument("index", metavar="BUCKET/INDEX", type=target)
    parser.add_argument("file", metavar="FILE", nargs="?", default="-", help="default: standard input")


def _add_query(actions: Commands[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    parser = command(
        actions,
        "query",
        run=_query,
        summary="find the nearest vectors",
        description=(
            "Find the vectors nearest to a vector, a text, or another vector of the index.\n\n"
            "Where the index has text search, --text seeks its words, any of them; where `ragvec ingest` filled it, "
            "its meaning; where it has both, both, and the rankings are fused. It may go with --vector or --key."
        ),
        examples=(
            "ragvec vectors query work/images --vector '[0.1, 0.2]' --top-k 3\n"
            "ragvec vectors query work/notes --text 'annual leave' --where '{\"department\": \"People\"}'\n"
            "ragvec vectors query work/notes --text 'form AB-1234' --by words --in title\n"
            "ragvec vectors query work/notes --key 'benefits/parental-leave#00000'"
        ),
        parents=(common,),
    )
    parser.add_argument("index", metavar="BUCKET/INDEX", type=target)
    by = parser.add_mutually_exclusive_group()
    by.add_argument("--vector", metavar="JSON", type=json_vector, help="a list of numbers")
    by.add_argument("--key", metavar="KEY", help="a vector of the index, which itself is left out of the answer")
    parser.add_argument("--text", metavar="TEXT", help="a text: words of it, embedded as the index was, or both")
    parser.add_argument("--by", choices=("words", "meaning"), help="search the text only by one of them")
    parser.add_argument(
        "--in", dest="fields", metavar="KEY", action="append", help="seek words in this metadata key; may be repeated"
    )
    parser.add_argument("--fusion", choices=("rrf", "weighted"), help="how rankings become one")
    parser.add_argument("-k", "--top-k", metavar="N", type=count, default=10, help="how many (default: %(default)s)")
    add_where(parser, help="only vectors whose metadata satisfy this filter")
    _add_parts(parser)


def _add_delete(actions: Commands[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    parser = command(
        actions,
        "delete",
        run=_delete,
        summary="delete vectors by key or by filter",
        description="Delete vectors by key, or all that satisfy a filter, in one transaction.",
        examples=(
            "ragvec vectors delete work/notes a b --yes\n"
            "ragvec vectors delete work/notes --where '{\"year\": 2019}' --yes"
        ),
        parents=(common,),
    )
    parser.add_argument("index", metavar="BUCKET/INDEX", type=target)
    parser.add_argument("keys", metavar="KEY", nargs="*")
    add_where(parser, help="delete what satisfies this filter; {} is everything")
    parser.add_argument("--yes", action="store_true", help="really delete")
    parser.set_defaults(list_argument="keys")


def _add_count(actions: Commands[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    parser = command(
        actions,
        "count",
        run=_count,
        summary="count vectors",
        examples='ragvec vectors count work/notes --where \'{"department": {"$in": ["People", "IT"]}}\'',
        parents=(common,),
    )
    parser.add_argument("index", metavar="BUCKET/INDEX", type=target)
    add_where(parser, help="only vectors whose metadata satisfy this filter")


def _add_parts(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", action="store_true", help="the numbers too")
    parser.add_argument("--no-metadata", dest="metadata", action="store_false", help="without metadata")


def _list(arguments: argparse.Namespace, output: Output) -> int:
    from ragvec.api.requests import ListVectors
    from ragvec.api.vectors import list_vectors

    found: list[dict[str, Any]] = []
    token = arguments.token
    with existing_store(arguments.store) as store:
        open_index(store, arguments.index)
        session = store.client().session
        while len(found) < arguments.limit:
            page = list_vectors(
                session,
                ListVectors(
                    vector_bucket_name=arguments.index.bucket,
                    index_name=arguments.index.name,
                    max_results=min(1000, arguments.limit - len(found)),
                    next_token=token,
                    where=arguments.where,
                    return_data=arguments.data,
                    return_metadata=arguments.metadata,
                ),
            )
            found += [
                _document(vector.key, vector.data.float32 if vector.data else None, vector.metadata)
                for vector in page.vectors
            ]
            token = page.next_token
            if token is None:
                break
    document = {"vectors": found} | ({"nextToken": token} if token else {})
    output.show(document, lambda console: _draw(console, found, arguments, token=token))
    return 0


def _get(arguments: argparse.Namespace, output: Output) -> int:
    with existing_store(arguments.store) as store:
        index = open_index(store, arguments.index)
        records = index.get(arguments.keys, data=arguments.data, metadata=arguments.metadata)
    found = [_of_record(record) for record in records]
    there = {record.key for record in records}
    missing = [key for key in arguments.keys if key not in there]
    output.show({"vectors": found, "missing": missing}, lambda console: _draw(console, found, arguments))
    if missing:
        output.note(f"ragvec: error: no vector {', '.join(map(repr, missing))} in {arguments.index}")
    return 1 if missing else 0


def _put(arguments: argparse.Namespace, output: Output) -> int:
    with existing_store(arguments.store) as store, read_lines(arguments.file) as lines:
        index = open_index(store, arguments.index)
        dimension = index.dimension
        parsed = (parse_line(number, line, source=arguments.file, dimension=dimension) for number, line in lines)
        stored = store_lines(
            index, output.progress(parsed, label="storing"), source=arguments.file, dimension=dimension
        )
    output.tell({"stored": stored}, f"Stored {number_text(stored, 'vector')} in {arguments.index}.")
    return 0


def _query(arguments: argparse.Namespace, output: Output) -> int:
    by_vector = arguments.vector is not None or arguments.key is not None
    by_words = arguments.by == "words" or arguments.fields or arguments.fusion
    if arguments.text is None and not by_vector:
        raise UsageError("expected --vector, --key or --text")
    if arguments.text is None and (arguments.by or by_words):
        raise UsageError("--by, --in and --fusion belong to --text")
    if arguments.by == "meaning" and (by_vector or by_words):
        raise UsageError("--by meaning takes the place of --vector, --key, --in and --fusion")
    with existing_store(arguments.store) as store:
        index = open_index(store, arguments.index)
        wanted = arguments.top_k + (arguments.key is not None)
        hits = index.query(
            **_sought(arguments, index),
            k=wanted,
            where=arguments.where,
            data=arguments.data,
            metadata=arguments.metadata,
        )
        metric = index.metric
    found = [_of_hit(hit) for hit in hits if hit.key != arguments.key][: arguments.top_k]
    output.show({"metric": metric, "vectors": found}, lambda console: _draw(console, found, arguments))
    return 0


def _sought(arguments: argparse.Namespace, index: Index) -> dict[str, Any]:
    """The arguments of `Index.query` that say what to look for."""
    vector = _given_vector(arguments, index)
    if arguments.text is None:
        return {"vector": vector}
    if arguments.by == "meaning" or (vector is None and arguments.by is None and not index.text_fields):
        return {"vector": text_index(index).embedder.embed_query(arguments.text)}
    if vector is None and arguments.by is None and embedder_name(index) is not None:
        vector = text_index(index).embedder.embed_query(arguments.text)
    text = dict.fromkeys(arguments.fields, arguments.text) if arguments.fields else arguments.text
    return {"vector": vector, "text": text, "fusion": arguments.fusion}


def _given_vector(arguments: argparse.Namespace, index: Index) -> Any:
    if arguments.vector is not None:
        return arguments.vector
    if arguments.key is not None:
        records = index.get([arguments.key], metadata=False)
        if not records:
            raise CommandError(f"no vector {arguments.key!r} in {arguments.index}")
        return records[0].data
    return None


def _delete(arguments: argparse.Namespace, output: Output) -> int:
    if bool(arguments.keys) == (arguments.where is not None):
        raise UsageError("expected keys, or --where with a filter, and not both")
    with existing_store(arguments.store) as store:
        index = open_index(store, arguments.index)
        if not arguments.yes:
            if arguments.keys:
                concerned = len(index.get(list(dict.fromkeys(arguments.keys)), data=False, metadata=False))
            else:
                concerned = index.count(arguments.where)
            whole = f"{index.count():,} vectors of {arguments.index}"
            raise UsageError(f"this deletes {concerned:,} of {whole}; repeat with --yes")
        deleted = index.delete(arguments.keys) if arguments.keys else index.delete(where=arguments.where)
    output.tell({"deleted": deleted}, f"Deleted {number_text(deleted, 'vector')} of {arguments.index}.")
    return 0


def _count(arguments: argparse.Namespace, output: Output) -> int:
    with existing_store(arguments.store) as store:
        number = open_index(store, arguments.index).count(arguments.where)
    output.tell({"count": number}, str(number))
    return 0


def _document(key: str, data: Any, metadata: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    import numpy as np

    document: dict[str, Any] = {"key": key, **more}
    if data is not None:
        document["data"] = shortest(np.asarray(data, dtype=np.float32)).tolist()
    if metadata is not None:
        document["metadata"] = metadata
    return document


def _of_record(record: Record) -> dict[str, Any]:
    return _document(record.key, record.data, record.metadata)


def _of_hit(hit: Hit) -> dict[str, Any]:
    import numpy as np

    numbers = {} if math.isnan(hit.distance) else {"distance": hit.distance}
    if hit.score is not None:
        numbers["score"] = hit.score
    short = {name: shortest(np.array([value], dtype=np.float32))[0] for name, value in numbers.items()}
    return _document(hit.key, hit.data, hit.metadata, **short)


def _draw(
    console: Console, found: list[dict[str, Any]], arguments: argparse.Namespace, *, token: str | None = None
) -> None:
    columns = ["key", *(name for name in ("score", "distance") if any(name in row for row in found))]
    if arguments.data:
        columns.append("data")
    if arguments.metadata:
        columns.append("metadata")
    cells: dict[str, Callable[[dict[str, Any]], str]] = {
        "key": lambda row: row["key"],
        "score": lambda row: f"{row['score']:.4f}",
        "distance": lambda row: f"{row['distance']:.4f}",
        "data": lambda row: _numbers_text(row["data"]),
        "metadata": lambda row: metadata_text(row["metadata"]),
    }
    table(
        console,
        columns,
        ([cells[column](row) for column in columns] for row in found),
        right=("score", "distance"),
        empty="No vectors.",
    )
    if token:
        console.print(f"More: --token {token}", soft_wrap=True)


def _numbers_text(numbers: list[float]) -> str:
    shown = ", ".join(f"{number:.4g}" for number in numbers[:4])
    return f"[{shown}, … {len(numbers)} numbers]" if len(numbers) > 4 else f"[{shown}]"
