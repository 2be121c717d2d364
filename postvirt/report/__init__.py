"""Report the outcome for each recipient to the rest of Postfix and to the log."""
