"""The read path above the engine: what a search asks for, how it runs, its pages and results."""
