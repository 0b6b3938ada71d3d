"""FAQs: rows of question and answer, found by their questions."""
