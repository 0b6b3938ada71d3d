"""`ragvec evaluate`: how good the answers of an index are, and whether they have become worse."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragvec.cli.arguments import Commands, command, count, target
from ragvec.cli.opening import existing_store, open_index, text_index
from ragvec.cli.output import Output, table
from ragvec.cli.problems import CommandError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from ragvec.evaluation.baseline import Verdict
    from ragvec.evaluation.collections import Collection
    from ragvec.evaluation.measures import Qrels, Scores

__all__ = ["add"]

_MEASURES = ["nDCG@10", "R@10", "RR", "P@10"]


def add(commands: Commands[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = command(
        commands,
        "evaluate",
        run=_run,
        summary="measure how good the answers of an index are",
        description=(
            "Ask an index the judged queries of a collection, and measure its answers; or measure a run in a file of "
            "TREC's form. A collection is a folder in BEIR's layout (corpus.jsonl, queries.jsonl, qrels/test.tsv) or "
            "the handbook of ragvec's data sets.\n\n"
            "With --against or --fail-below it is a gate: exit code 1 where a mean has fallen by more than --drop, or "
            "by less than that but by more than chance explains, or is below its floor."
        ),
        examples=(
            "ragvec evaluate work/scifact --collection scifact/\n"
            "ragvec evaluate work/scifact --collection scifact/ --save baseline.json\n"
            "ragvec evaluate work/scifact --collection scifact/ --against baseline.json --fail-below nDCG@10=0.7\n"
            "ragvec evaluate --run bm25.run --qrels qrels.txt --measure AP --measure nDCG@20 --json"
        ),
        parents=(common,),
    )
    parser.add_argument("index", metavar="BUCKET/INDEX", type=target, nargs="?", help="the index to ask")
    parser.add_argument("--collection", metavar="DIR", help="the folder of documents, queries and judgements")
    parser.add_argument("--split", metavar="NAME", default="test", help="whose judgements count (default: %(default)s)")
    parser.add_argument("--run", metavar="FILE", dest="run_file", help="measure this run instead of asking an index")
    parser.add_argument("--qrels", metavar="FILE", help="judgements in TREC's form, for --run")
    parser.add_argument(
        "--measure", metavar="M", action="append", help=f"such as AP or nDCG@20 (default: {', '.join(_MEASURES)})"
    )
    parser.add_argument("-k", metavar="N", type=count, default=100, help="answers a query (default: %(default)s)")
    parser.add_argument("--per-query", action="store_true", help="the values of every query too")
    parser.add_argument("--save-run", metavar="FILE", help="write the answers as a TREC run")
    parser.add_argument("--save", metavar="FILE", help="keep the figures, for a later --against")
    parser.add_argument("--against", metavar="FILE", help="fail where these figures are worse than those kept")
    parser.add_argument("--drop", metavar="X", type=_share, default=0.01, help="what a mean may fall (default: 0.01)")
    parser.add_argument(
        "--fail-below", metavar="M=X", type=_floor, action="append", default=[], help="fail where a mean is below this"
    )


def _run(arguments: argparse.Namespace, output: Output) -> int:
    from ragvec.evaluation.baseline import judged, read_baseline, write_baseline
    from ragvec.evaluation.measures import Measure, evaluate
    from ragvec.evaluation.trec import write_run_file

    measures = [str(Measure.parse(text)) for text in arguments.measure or _MEASURES]
    floors = dict(arguments.fail_below)
    measures += [str(Measure.parse(text)) for text in floors if text not in measures]
    baseline = None if arguments.against is None else read_baseline(arguments.against)
    run, qrels = _answers(arguments, output)
    scores = evaluate(run, qrels, measures=dict.fromkeys(measures))
    if arguments.save_run:
        write_run_file(run, arguments.save_run)
    verdict = judged(scores, floors=floors, baseline=baseline, drop=arguments.drop)
    output.show(
        _document(scores, verdict, per_query=arguments.per_query),
        lambda console: _draw(console, scores, verdict, per_query=arguments.per_query),
    )
    if arguments.save:
        write_baseline(scores, arguments.save)
    if not verdict.passed:
        raise CommandError("; ".join(verdict.failures))
    return 0


def _answers(arguments: argparse.Namespace, output: Output) -> tuple[dict[str, list[tuple[str, float]]], Qrels]:
    """The run, of the index or of the file, and the judgements."""
    from ragvec.evaluation.runs import run_queries
    from ragvec.evaluation.trec import read_qrels_file, read_run_file

    if arguments.run_file is not None:
        if arguments.index is not None or arguments.collection is not None or arguments.qrels is None:
            raise UsageError("expected --run with --qrels, and neither an index nor --collection")
        return read_run_file(arguments.run_file), read_qrels_file(arguments.qrels)
    if arguments.index is None or arguments.collection is None or arguments.qrels is not None:
        raise UsageError("expected BUCKET/INDEX with --collection, or --run with --qrels")
    collection = _collection(Path(arguments.collection), split=arguments.split)
    with existing_store(arguments.store) as store:
        searched = text_index(open_index(store, arguments.index))
        queries = collection.judged_queries
        run: dict[str, list[tuple[str, float]]] = {}
        for query, text in output.progress(queries.items(), label="ask", total=len(queries), unit="answer"):
            run.update(run_queries(searched, {query: text}, k=arguments.k))
        return run, collection.qrels


def _collection(folder: Path, *, split: str) -> Collection:
    from ragvec.evaluation.collections import beir, handbook

    return handbook(folder) if (folder / "questions.jsonl").is_file() else beir(folder, split=split)


def _document(scores: Scores, verdict: Verdict, *, per_query: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "means": scores.means,
        "queries": len(scores.per_query),
        "unanswered": list(scores.unanswered),
        "passed": verdict.passed,
        "failures": list(verdict.failures),
    }
    if verdict.comparisons:
        found["comparisons"] = list(verdict.comparisons)
    if per_query:
        found["perQuery"] = scores.per_query
    return found


def _draw(console: Console, scores: Scores, verdict: Verdict, *, per_query: bool) -> None:
    beside = {each.measure: each for each in verdict.comparisons}
    columns = ["measure", "mean", *(["kept", "difference", "p", "better / worse"] if beside else [])]
    rows = []
    for name, mean in scores.means.items():
        row = [name, f"{mean:.4f}"]
        if name in beside:
            each = beside[name]
            kept = each.mean - each.difference
            row += [f"{kept:.4f}", f"{each.difference:+.4f}", f"{each.p:.4f}", f"{each.wins} / {each.losses}"]
        rows.append(row)
    table(console, columns, rows, empty="no measures", right=columns[1:])
    asked = len(scores.per_query)
    told = f"{asked:,} judged {'query' if asked == 1 else 'queries'}"
    if scores.unanswered:
        told += f", {len(scores.unanswered):,} of them without an answer, which count as zero"
    console.print(told)
    if per_query:
        measures = list(scores.means)
        table(
            console,
            ["query", *measures],
            [[query, *(f"{values[name]:.4f}" for name in measures)] for query, values in scores.per_query.items()],
            empty="no queries",
            right=measures,
        )


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1; got {text!r}")
    return value


def _floor(text: str) -> tuple[str, float]:
    measure, sign, value = text.rpartition("=")
    if not sign or not measure:
        raise argparse.ArgumentTypeError(f"expected a measure and its floor, such as nDCG@10=0.7; got {text!r}")
    return measure, _share(value)
