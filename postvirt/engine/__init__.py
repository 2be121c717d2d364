"""Run many deliveries side by side, and commit what they wrote in groups."""
