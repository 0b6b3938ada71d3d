"""The write path: documents are loaded, split, embedded and put into an index."""
