"""How long mail for others waits while mailboxes hang; see scripts/hanging."""
