"""The mailboxes that the tables name, and their owners: codes PV2xx."""
