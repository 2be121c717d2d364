"""Tables that are made of other tables."""
