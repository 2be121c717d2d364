"""Find what is wrong with an installation before the first message does."""
