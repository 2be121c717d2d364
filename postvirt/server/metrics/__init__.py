"""What workers count, and how Prometheus gets to see it."""
