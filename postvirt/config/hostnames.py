"""The syntax of a host name.

Parity: src/util/valid_hostname.c.
Raises: nothing.
"""

from __future__ import annotations

import re

from postvirt.model.text import wire

_MAX_LABEL_BYTES = 63
_MAX_HOSTNAME_BYTES = 255
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?")
_NOT_IN_HOSTNAME = re.compile(rb"[^A-Za-z0-9_.-]")


def hostname_problem(name: str) -> str:
    """Postfix's warning about a host name, "" if it is valid."""
    if not name:
        return "valid_hostname: empty hostname"
    strange = _NOT_IN_HOSTNAME.search(wire(name))
    if strange:
        code = strange[0][0]
        return f"valid_hostname: invalid character {code}(decimal): {name:.100}"
    for label in name.split("."):
        if not label:
            return f"valid_hostname: misplaced delimiter: {name:.100}"
        if len(label) > _MAX_LABEL_BYTES:
            return f"valid_hostname: hostname label too long: {name:.100}"
        if not _LABEL.fullmatch(label):
            return f"valid_hostname: misplaced hyphen: {name:.100}"
    if re.fullmatch("[0-9.]+", name):
        return f"valid_hostname: numeric hostname: {name:.100}"
    if len(name) > _MAX_HOSTNAME_BYTES:
        return f"valid_hostname: bad length {len(name)} for {name:.100}..."
    return ""
