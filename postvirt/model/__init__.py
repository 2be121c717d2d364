"""Frozen values that the other packages pass around; no module here does anything."""
