"""Write mail to maildir and mbox files, with the rights of their owner.

The functions accept plain values, no configuration and no tables.
"""
