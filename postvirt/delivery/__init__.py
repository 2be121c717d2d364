"""From a recipient to a mailbox, and from a request to its status."""
