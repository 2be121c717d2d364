"""Tables that query a database or a directory server."""
