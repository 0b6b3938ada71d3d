"""Loaders of file formats, one family a file; `ragvec.pipeline.load` chooses among them."""
