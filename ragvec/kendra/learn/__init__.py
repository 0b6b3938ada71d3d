"""What learns from queries and steers them: the journal, feedback, suggestions, featured sets, synonyms, spelling."""
