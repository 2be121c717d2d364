"""Bytes to values and back, without access to files, sockets or the clock.

Decoders have one convention: they return a value and where it ended, or a `NeedData`
member, or raise ProtocolError. They raise nothing else.
"""
