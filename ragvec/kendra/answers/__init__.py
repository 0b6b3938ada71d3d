"""Answers read from the passages that were found: spans of their text, table excerpts, or none."""
