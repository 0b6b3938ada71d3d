"""Figures kept in a file, and whether later ones are worse: a gate for continuous integration."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

import ragvec
from ragvec.errors import InvalidRequest, ResourceNotFound
from ragvec.evaluation.measures import Scores
from ragvec.evaluation.significance import Comparison, compare

__all__ = ["Baseline", "Verdict", "judged", "read_baseline", "write_baseline"]

_FORMAT = 1


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """Scores as they were once: means, and each query's value, from which chance can be told from change."""

    format: int = _FORMAT
    version: str = ragvec.__version__
    means: dict[str, float]
    per_query: dict[str, dict[str, float]]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a gate says: `failures` are sentences, none where all is well; `comparisons` those with a baseline."""

    failures: tuple[str, ...]
    comparisons: tuple[Comparison, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return not self.failures


def write_baseline(scores: Scores, path: str | Path) -> None:
    """Keep scores in a file, which appears whole or not at all."""
    target = Path(path)
    content = msgspec.json.encode(Baseline(means=scores.means, per_query=scores.per_query), order="sorted")
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as file:
        file.write(msgspec.json.format(content, indent=1) + b"\n")
    Path(file.name).chmod(0o644)
    Path(file.name).replace(target)


def read_baseline(path: str | Path) -> Baseline:
    """The scores in a file. Raises ResourceNotFound, InvalidRequest: it holds no baseline of this format."""
    try:
        found = msgspec.json.decode(Path(path).read_bytes(), type=Baseline)
    except FileNotFoundError as error:
        raise ResourceNotFound(f"Expected a file, found none - at {path}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"Expected the file of a baseline: {error} - at {path}") from error
    if found.format != _FORMAT:
        raise InvalidRequest(f"Expected a baseline of format {_FORMAT}, got {found.format} - at {path}")
    return found


def judged(
    scores: Scores,
    *,
    floors: Mapping[str, float] | None = None,
    baseline: Baseline | None = None,
    drop: float = 0.01,
    level: float = 0.05,
) -> Verdict:
    """Whether `scores` may pass.

    They fail where a mean is below its floor, or where it is below the baseline's by more than `drop`, or by less than
    that but by more than chance explains: a randomization test over the queries, of each measure alone, at `level`.

    Raises:
        InvalidRequest: a floor is of a measure that was not computed, or the baseline is of other queries or of none of
            these measures.
    """
    failures: list[str] = []
    for measure, floor in (floors or {}).items():
        if measure not in scores.means:
            raise InvalidRequest(f"Expected a floor of {', '.join(scores.means)}, got one of {measure!r}")
        if scores.means[measure] < floor:
            failures.append(f"{measure} is {scores.means[measure]:.4f}, below the floor of {floor:.4f}")
    comparisons: list[Comparison] = []
    if baseline is not None:
        shared = [measure for measure in scores.means if measure in baseline.means]
        if not shared:
            raise InvalidRequest(
                f"Expected a baseline of {', '.join(scores.means)}, got one of {', '.join(baseline.means)}"
            )
        for measure in shared:
            values = {
                "baseline": {query: each[measure] for query, each in baseline.per_query.items()},
                "now": {query: each[measure] for query, each in scores.per_query.items()},
            }
            (comparison,) = compare(values, baseline="baseline", measure=measure)
            comparisons.append(comparison)
            fallen = -comparison.difference
            if fallen > drop:
                failures.append(
                    f"{measure} fell by {fallen:.4f} to {comparison.mean:.4f}, more than the {drop:.4f} permitted"
                )
            elif fallen > 0 and comparison.significant(level):
                p = f"p {comparison.p:.4f}"
                failures.append(f"{measure} fell by {fallen:.4f} to {comparison.mean:.4f}, which is no chance ({p})")
    return Verdict(failures=tuple(failures), comparisons=tuple(comparisons))
