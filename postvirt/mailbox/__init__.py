"""Write the mail: maildir and mbox, as the recipient.

Takes plain values, no configuration and no tables, and returns an Outcome.
"""
