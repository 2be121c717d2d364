"""Bytes to values and back; nothing here touches a file, a socket or a clock.

Decoders have one convention: they return a value and where it ended, or a `NeedData`
member, or raise ProtocolError. Nothing else leaves them.
"""
