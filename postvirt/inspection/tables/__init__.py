"""The lookup tables, their files and what they answer: codes PV1xx."""
