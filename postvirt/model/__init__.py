"""Frozen values that the other packages pass around; nothing here has side effects."""
