"""How full the mailboxes are."""
