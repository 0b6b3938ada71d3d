"""How the text of each language becomes terms; `ragvec.text.analyzers` chooses among them."""
