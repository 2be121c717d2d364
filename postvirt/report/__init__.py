"""Tell the rest of Postfix, and the log, what became of each recipient."""
