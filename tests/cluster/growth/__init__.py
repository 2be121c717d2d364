"""How much a few hosts deliver, and what many would need: scripts/cluster growth."""
