"""What a delivery costs as everything around it grows (scripts/growth)."""
