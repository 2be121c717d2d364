"""Tables that a database or a directory server answers."""
