"""The service, which listens by itself, without master(8)."""
