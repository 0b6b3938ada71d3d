"""Metadata filters: the AST, its JSON form, a plain interpreter, and evaluation over posting lists."""
