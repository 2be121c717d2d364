"""One maildir for postvirt, Dovecot and Courier's deliverquota at the same time.

writers   those who deliver, and a user who tidies up, each doing one thing at a time
trial     many of them at once, and what they all say about the maildir afterwards
"""
