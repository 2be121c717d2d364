"""Tables that consist of other tables."""
