"""The local engine: SQLite for records and commits, a float32 file for vectors, derived segments and posting lists."""
