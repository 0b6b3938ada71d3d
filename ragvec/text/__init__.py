"""Words, stems, highlights: what is done with text apart from any index."""
