"""What would become of a message for an address, and why."""
