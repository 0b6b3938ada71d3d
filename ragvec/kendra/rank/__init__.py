"""Ranking: candidates by words and by meaning, their relevance, what moves it, and documents made of passages."""
