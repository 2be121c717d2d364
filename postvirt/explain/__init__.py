"""What would happen to a message for an address, and why."""
