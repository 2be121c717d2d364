"""The story: from a recipient to a mailbox, from a request to its status."""
