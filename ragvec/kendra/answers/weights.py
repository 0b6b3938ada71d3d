"""The weights of the shipped reader, as `python -m benchmarks.answers --fit` prints them, and its levels.

`least` is where, in cross-validation on the handbook, one unanswerable question in ten still gets an answer. Of the
questions that have an answer there, 11 % get it in the first place then, 11 % another one and 78 % none, so that four
answers in ten are right, about as many as their scores say. Of scores above that too few were seen to tell the better
ones apart; HIGH and VERY_HIGH are therefore kept for scores that the handbook's questions do not reach.
"""

from __future__ import annotations

from ragvec.kendra.answers.choice import Weights
from ragvec.kendra.answers.reader import Levels

__all__ = ["LEVELS", "WEIGHTS"]

WEIGHTS = Weights(
    first=(12.7613, 0.0, 9.3724, 3.2721, 1.4622, 0.3942),
    choose=(6.7072, 7.1726, 4.4287, 3.3738, 0.7476, 0.1133),
    trust=(0.3567, 1.1537, 8.9375, -0.9607),
    bias=-2.2972,
)
LEVELS = Levels(least=0.35, high=0.7, very_high=0.9)
