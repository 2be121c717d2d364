"""Stand-ins for the rest of Postfix: its master, its queue manager and its services.

They speak the same protocols over the same kind of sockets, so that a delivery agent
cannot tell the difference. `postvirt demo` and the tests use them. They do nothing
else: they do not retry, keep no queue, and send no bounce messages.
"""
