"""How much a maildir holds, and whether there is room for more."""
