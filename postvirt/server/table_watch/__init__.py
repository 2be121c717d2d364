"""Notice changed table files while no client comes."""
