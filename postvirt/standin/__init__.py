"""Stand-ins for the rest of Postfix: its master, its queue manager and its services.

They speak the same protocols over the same kind of sockets, so that a delivery agent
cannot tell the difference. `postvirt demo` and the tests are made of them. They do no
more than that: nothing is retried, nothing is queued, and no real bounce is sent.
"""
