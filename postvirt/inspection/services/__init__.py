"""What master(8) and postvirt's service are to start: codes PV5xx."""
