"""Put the launcher in the place of the genuine virtual, and back."""
