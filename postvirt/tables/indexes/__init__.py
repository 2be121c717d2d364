"""Index files that postmap(1) makes."""
