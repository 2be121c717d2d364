"""Three hosts and what they share, on one machine: scripts/cluster."""
