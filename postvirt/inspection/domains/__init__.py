"""The domains of the mailboxes, and the lists they are in: codes PV3xx."""
