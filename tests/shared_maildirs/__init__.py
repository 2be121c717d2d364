"""One maildir for postvirt, Dovecot and Courier's deliverquota at the same time.

writers   those who deliver, and a user who tidies up, each doing one thing at a time
trial     a maildir, those who change it without postvirt, and what all say about it
beside    postvirt on that maildir, and all of them at once
"""
