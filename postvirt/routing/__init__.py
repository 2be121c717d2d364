"""Where Postfix sends mail for an address: what trivial-rewrite(8) decides."""
