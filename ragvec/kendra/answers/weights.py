"""The weights of the shipped reader, as `python -m benchmarks.answers --fit` prints them, and its levels.

`least` is where, in cross-validation on the handbook, one unanswerable question in ten still gets an answer. Of the
questions that have an answer there, 13 % get it in the first place then, 12 % another one and 75 % none, so that 43 %
of all answers are right, about as many as their scores say. Of scores above that too few were seen to tell the better
ones apart; HIGH and VERY_HIGH are therefore kept for scores that the handbook's questions do not reach.
"""

from __future__ import annotations

from ragvec.kendra.answers.choice import Weights
from ragvec.kendra.answers.reader import Levels

__all__ = ["LEVELS", "WEIGHTS"]

WEIGHTS = Weights(
    first=(13.0588, 0.0, 9.5173, 3.3804, 1.612, 0.4989),
    choose=(4.3325, 6.3268, 3.676, 2.4373, 0.6812, 0.2632),
    trust=(0.5134, 2.5185, 12.2285, -0.1367),
    bias=-3.298,
)
LEVELS = Levels(least=0.365, high=0.7, very_high=0.9)
