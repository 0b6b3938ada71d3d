"""The weights of the shipped reader, written by `python -m benchmarks.answers --fit`, and where its levels begin."""

from __future__ import annotations

from ragvec.kendra.answers.choice import Weights
from ragvec.kendra.answers.reader import Levels

__all__ = ["LEVELS", "WEIGHTS"]

WEIGHTS = Weights(
    first=(5.0, 0.0, 2.0, 3.0, 1.0, 0.2),
    choose=(5.0, 6.0, 2.0, 3.0, 1.0, 0.2),
    trust=(2.0, 2.0, 3.0, 1.0, 2.0, 0.5, 1.0, -1.0),
    bias=-5.0,
)

LEVELS = Levels(least=0.5, high=0.7, very_high=0.85)
