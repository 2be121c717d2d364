"""Lookup tables: one file per type, `maps` chains them, `search` tries an address."""
