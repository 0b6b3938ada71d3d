"""Nearest neighbours among float32 rows: exact search, and approximate segments behind one protocol."""
