"""The weights of the shipped reader, as `python -m benchmarks.answers --fit` prints them, and its levels.

`least` is where, in cross-validation on the handbook, one unanswerable question in ten still gets an answer. Of the
questions that have an answer there, 11 % get it in the first place then, 8 % another one and 81 % none, so that 45 % of
all answers are right, about as many as their scores say. Of scores above that too few were seen to tell the better
ones apart; HIGH and VERY_HIGH are therefore kept for scores that the handbook's questions do not reach.
"""

from __future__ import annotations

from ragvec.kendra.answers.choice import Weights
from ragvec.kendra.answers.reader import Levels

__all__ = ["LEVELS", "WEIGHTS"]

WEIGHTS = Weights(
    first=(12.7613, 0.0, 9.3724, 3.2721, 1.4622, 0.3942),
    choose=(3.8985, 6.6577, 3.6853, 2.3083, 0.5568, 0.0534),
    trust=(1.4762, 3.4985, 5.2195, -0.5919),
    bias=-3.7816,
)
LEVELS = Levels(least=0.36, high=0.7, very_high=0.9)
