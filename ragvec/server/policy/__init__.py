"""Policies: their grammars, and who may do what by them."""
