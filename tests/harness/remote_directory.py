"""A directory on a file system of the kind that other machines change.

It is a FUSE file system, served here, straight on /dev/fuse: it shows the files of
another directory, and as with NFS the kernel does not tell when they change there. They
can be looked at, and not be opened. The mount is the calling process's own, and the
server ends with it.

Source: fuse(4), linux/fuse.h.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from pathlib import Path

from tests.power_cut.devices import end_with_parent, mount

_LOOKUP, _FORGET, _GETATTR, _INIT, _INTERRUPT, _BATCH_FORGET = 1, 2, 3, 26, 36, 42
_WITHOUT_ANSWER = (_FORGET, _INTERRUPT, _BATCH_FORGET)
_ROOT = 1
_MAJOR, _MINOR = 7, 31
_MOST_WRITE_BYTES = 4096

_IN_HEADER = struct.Struct("=IIQQIIII")
_OUT_HEADER = struct.Struct("=IiQ")
_INIT_OUT = struct.Struct("=IIIIHHIIHHI28x")
_ATTR = struct.Struct("=QQQQQQIIIIIIIIII")


def mount_remote(source: Path, target: Path) -> None:
    """Show the files of source in target, to everybody."""
    fuse = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    if os.fork() == 0:
        try:
            end_with_parent()
            _serve(fuse, source)
        finally:
            os._exit(0)
    options = f"fd={fuse},rootmode={stat.S_IFDIR:o},user_id=0,group_id=0,allow_other"
    try:
        mount("remote", target, "fuse", options)
    finally:
        os.close(fuse)


def _serve(fuse: int, source: Path) -> None:
    names = {_ROOT: "."}
    while True:
        try:
            asked = os.read(fuse, 1 << 17)
        except OSError as error:
            if error.errno == errno.EPERM:  # not mounted yet
                continue
            return  # unmounted
        _, kind, unique, node, *_ = _IN_HEADER.unpack_from(asked)
        if kind in _WITHOUT_ANSWER:
            continue
        number, answer = 0, b""
        try:
            answer = _answer(kind, asked[_IN_HEADER.size :], node, source, names)
        except OSError as error:
            number = error.errno or errno.EIO
        head = _OUT_HEADER.pack(_OUT_HEADER.size + len(answer), -number, unique)
        os.write(fuse, head + answer)


def _answer(
    kind: int, body: bytes, node: int, source: Path, names: dict[int, str]
) -> bytes:
    # Nothing is valid for any time: the kernel asks whenever somebody looks.
    if kind == _INIT:
        return _INIT_OUT.pack(_MAJOR, _MINOR, 0, 0, 0, 0, _MOST_WRITE_BYTES, 1, 1, 0, 0)
    if kind == _GETATTR:
        return struct.pack("=QII", 0, 0, 0) + _attributes(source / names[node], node)
    if kind == _LOOKUP:
        name = os.fsdecode(body.rstrip(b"\0"))
        known = {known: number for number, known in names.items()}
        number = known.get(name, len(names) + 1)
        attributes = _attributes(source / name, number)
        names[number] = name
        return struct.pack("=QQQQII", number, 0, 0, 0, 0, 0) + attributes
    raise OSError(errno.ENOSYS, "there is nothing but names and attributes")


def _attributes(path: Path, node: int) -> bytes:
    status = path.stat()
    seconds, rest = divmod(status.st_mtime_ns, 1_000_000_000)
    return _ATTR.pack(
        *(node, status.st_size, 0, *(seconds,) * 3, *(rest,) * 3),
        *(status.st_mode, 1, status.st_uid, status.st_gid, 0, 4096, 0),
    )
