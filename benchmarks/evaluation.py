"""One real question, answered with experiments: which configuration is best, on SciFact and on the handbook?

    python -m benchmarks.evaluation [collection ...] [--folder DIR] [--data DIR] [--plots DIR]

Twelve configurations, two chunkers by six ways of asking, on each collection; the tables of docs/evaluation.md. SciFact
is read from --data, else from the folder in RAGVEC_TEST_DATA, else from ../shared/data beside the checkout, and left
out where it is not there. With --folder the work is kept: a second run reads what the first has made, and one that was
killed goes on where it was.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks.quality import folder_of, opened, test_data
from ragvec.evaluation import Configuration, Experiment, ExperimentReport
from ragvec.evaluation.experiment_plots import quality_against_latency, recall_by_depth
from ragvec.pipeline.chunk import StructureChunker
from ragvec.search.fuse import ReciprocalRank

COLLECTIONS = ("scifact", "handbook")
CHUNKERS = {"default": None, "short": StructureChunker(max_tokens=96)}
WAYS = {
    "text": {"way": "text"},
    "dense": {"way": "dense"},
    "dense, effort 4": {"way": "dense", "effort": 4.0},
    "hybrid, RRF": {"way": "hybrid", "fusion": ReciprocalRank()},
    "hybrid": {"way": "hybrid"},
    "query layer": {"way": "query"},
}


def configurations() -> list[Configuration]:
    return [
        Configuration(name=f"{chunker} · {way}", chunker=made, **settings)  # type: ignore[arg-type]
        for chunker, made in CHUNKERS.items()
        for way, settings in WAYS.items()
    ]


def shown(report: ExperimentReport, seconds: float) -> None:
    frame = report.to_pandas()[["nDCG@10", "nDCG@10 low", "nDCG@10 high", "R@10", "RR", "ms p50", "passages"]]
    print(f"\n{report.collection}: {len(report.qrels)} queries, {seconds:.1f} s\n")
    print(frame.round({"ms p50": 1}).round(4).to_string())
    print(f"\nbeside {report.best().name}, by nDCG@10 (p values corrected by Holm's method)\n")
    for each in report.compare("nDCG@10"):
        mark = "*" if each.significant() else " "
        print(
            f"{mark} {each.system:26} {each.difference:+.4f}  [{each.low:+.4f}, {each.high:+.4f}]  p {each.p:.4f}"
            f"  better {each.wins:3}  equal {each.ties:3}  worse {each.losses:3}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collections", nargs="*", default=COLLECTIONS, help=f"among {', '.join(COLLECTIONS)}")
    parser.add_argument("--folder", help="where the work is kept")
    parser.add_argument("--data", help="the folder of test collections")
    parser.add_argument("--plots", help="write PNG plots into this folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(options.folder or temporary)
        for name in options.collections:
            place = folder_of(name, test_data(options.data))
            if not place.is_dir():
                print(f"{name} is left out: there is no {place}")
                continue
            began = time.perf_counter()
            experiment = Experiment(opened(name, place), configurations(), folder=work / name)
            report = experiment.run(progress=lambda line: print(f"  {line}", flush=True))
            shown(report, time.perf_counter() - began)
            report.save(work / f"{name}.html")
            if options.plots:
                for kind, plot in (("quality", quality_against_latency), ("depth", recall_by_depth)):
                    plot(report).savefig(Path(options.plots) / f"evaluation-{name}-{kind}.png", dpi=80)


if __name__ == "__main__":
    main()
