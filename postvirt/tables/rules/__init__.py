"""Files of rules: patterns and networks, tried in order."""
