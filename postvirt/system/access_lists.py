"""What the default access control list of a directory leaves of a new file's mode.

Source: acl(5), linux/posix_acl_xattr.h.
Raises: nothing; a list that cannot be read takes nothing away.
"""

from __future__ import annotations

import os
import struct

_DEFAULT = "system.posix_acl_default"
_HEADER_BYTES = 4  # the version of the format
_ENTRY = struct.Struct("<HHI")  # tag, rights, uid or gid
_OWNER_TAG = 1
_ALL = os.R_OK | os.W_OK | os.X_OK


def rights_handed_down(directory: bytes) -> int:
    """What the owner of something new in this directory may do with it at most.

    As os.R_OK, os.W_OK and os.X_OK.
    """
    try:
        entries = os.getxattr(directory, _DEFAULT)[_HEADER_BYTES:]
    except OSError:
        return _ALL
    whole = len(entries) - len(entries) % _ENTRY.size
    for tag, rights, _ in _ENTRY.iter_unpack(entries[:whole]):
        if tag == _OWNER_TAG:
            return int(rights) & _ALL
    return _ALL
