"""Evaluation: test collections, runs over them, and how good a ranking is."""
