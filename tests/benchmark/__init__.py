"""Measure postvirt beside the genuine virtual(8); see scripts/bench --help."""
