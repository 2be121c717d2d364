"""What workers count, and how it is exported to Prometheus."""
