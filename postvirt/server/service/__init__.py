"""The service: postvirt listens by itself, without master(8)."""
