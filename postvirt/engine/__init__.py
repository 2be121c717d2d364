"""Run many deliveries concurrently, and commit what they write in groups."""
