"""main.cf and master.cf as they are written: codes PV0xx."""
