"""Ask functions of Postfix's own libraries, as installed.

`ask` runs this file as a program, because a fatal error or a panic ends a process that
uses the libraries. The program reads a JSON object on standard input and writes a list
of answers: the result of each call and the lines that it logged. Bytes travel as
latin-1 text, log lines as UTF-8. The functions that can be called are those of `Calls`.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

LIBRARIES = "/usr/lib/postfix"
LONG_AGO = 1_000_000_000

_SEVERITIES = ("", "warning: ", "error: ", "fatal: ", "panic: ")
_QUOTE_8BIT, _QUOTE_BARE = 1, 8
_ATTRIBUTE_TYPES = {"int": 1, "string": 2, "long": 4, "data": 5}
_ATTR_STRICT = 3
_COPY_QUOTE = 1
_PROTOCOLS = {
    "private/bounce": b"delivery_status_protocol",
    "private/defer": b"delivery_status_protocol",
    "private/trace": b"delivery_status_protocol",
    "private/verify": b"address_verification_prrotocol",
    "public/flush": b"queue_flush_protocol",
}


class Answer(NamedTuple):
    """What a call returned and the lines that it logged."""

    result: Any
    log: list[str]


def ask(calls: Sequence[Sequence[Any]], **parameters: str) -> list[Answer]:
    """Perform the calls (name, then arguments) with these main.cf parameters."""
    settings = {
        "compatibility_level": "3.6",
        "myhostname": "mail.example.com",
        "mydomain": "example.com",
        "maillog_file": "",
    } | parameters
    with tempfile.TemporaryDirectory(prefix="postvirt-") as directory:
        main_cf = Path(directory, "main.cf")
        main_cf.write_text("".join(f"{n} = {v}\n" for n, v in settings.items()))
        os.utime(main_cf, (LONG_AGO, LONG_AGO))
        done = subprocess.run(
            [sys.executable, __file__],
            input=json.dumps(calls, default=_as_text).encode(),
            capture_output=True,
            check=False,
            cwd=directory,
            env={"MAIL_CONFIG": directory, "TZ": "UTC"},
        )
    assert done.returncode == 0, done.stderr.decode("latin-1")
    answers = json.loads(done.stdout)
    assert len(answers) == len(calls)
    return [Answer(*answer) for answer in answers]


def _as_text(value: bytes) -> str:
    return value.decode("latin-1")


class _Vstring(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_int),
        ("data", ctypes.c_void_p),
        ("len", ctypes.c_ssize_t),
        ("cnt", ctypes.c_ssize_t),
        ("ptr", ctypes.c_void_p),
    )

    @property
    def value(self) -> str:
        size = self.ptr - self.data
        return ctypes.string_at(self.data, size).decode("latin-1")


class _Stats(ctypes.Structure):
    _fields_ = (("times", ctypes.c_long * 10), ("reuse_count", ctypes.c_int))


class _Recipient(ctypes.Structure):
    _fields_ = (
        ("offset", ctypes.c_long),
        ("dsn_orcpt", ctypes.c_char_p),
        ("dsn_notify", ctypes.c_int),
        ("orig_addr", ctypes.c_char_p),
        ("address", ctypes.c_char_p),
        ("application", ctypes.c_void_p),
    )


class _Dsn(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_char_p)
        for name in ("status", "action", "reason", "dtype", "dtext", "mtype", "mname")
    )


class Calls:
    """The functions; arguments and results are JSON values."""

    def __init__(self, log: list[str]) -> None:
        self._util = ctypes.CDLL(
            f"{LIBRARIES}/libpostfix-util.so", ctypes.RTLD_GLOBAL, use_errno=True
        )
        self._global = ctypes.CDLL(
            f"{LIBRARIES}/libpostfix-global.so", ctypes.RTLD_GLOBAL
        )
        self._log = log
        logger = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p)
        self._logger = logger(self._log_line)
        self._util.msg_output(self._logger)
        self._util.vstring_alloc.restype = ctypes.POINTER(_Vstring)
        self._util.vstream_fopen.restype = ctypes.c_void_p
        self._util.vstream_fseek.argtypes = (
            ctypes.c_void_p,
            ctypes.c_long,
            ctypes.c_int,
        )
        self._global.mail_queue_path.restype = ctypes.c_char_p
        # Since Postfix 3.11, what came of TLS policies is before the DSN; none here.
        is_new = hasattr(self._global, "pol_stats_format")
        self._policies = (None,) if is_new else ()
        self._global.mail_conf_read()
        self._global.mail_dict_init()
        # Queue files here belong to whoever runs the tests.
        self._set("var_owner_uid", os.geteuid())
        self._set("var_owner_gid", os.getegid())
        self._services: _Services | None = None
        self._count = 0

    def _set(self, name: str, value: int) -> None:
        ctypes.c_int.in_dll(self._global, name).value = value

    def _log_line(self, level: int, line: bytes) -> None:
        text = line.decode("utf-8", "surrogateescape")
        self._log.append(_SEVERITIES[level] + text)
        if level > 2:
            sys.stderr.write(f"{self._log[-1]}\n")

    def _stream(self, name: str, data: str) -> ctypes.c_void_p:
        Path(name).write_bytes(data.encode("latin-1"))
        return ctypes.c_void_p(self._util.vstream_fopen(name.encode(), os.O_RDWR, 0))

    def quote(self, address: str, bare: bool) -> str:
        """quote_822_local_flags()."""
        result = self._util.vstring_alloc(10)
        flags = _QUOTE_8BIT | (_QUOTE_BARE if bare else 0)
        self._global.quote_822_local_flags(result, address.encode("latin-1"), flags)
        return result.contents.value

    def queue_path(self, queue_name: str, queue_id: str, depth: int) -> str:
        """mail_queue_path()."""
        self._set("var_hash_queue_depth", depth)
        path = self._global.mail_queue_path(
            None, queue_name.encode(), queue_id.encode()
        )
        return path.decode()

    def format_tv(self, microseconds: int, max_decimals: int) -> str:
        """format_tv() as log_adhoc() uses it."""
        result = self._util.vstring_alloc(10)
        seconds, rest = divmod(microseconds, 1_000_000)
        self._util.format_tv(
            result, ctypes.c_long(seconds), ctypes.c_long(rest), 2, max_decimals
        )
        return result.contents.value

    def printable(self, line: str, utf8: bool) -> str:
        """printable()."""
        ctypes.c_int.in_dll(self._util, "util_utf8_enable").value = utf8
        buffer = ctypes.create_string_buffer(line.encode("latin-1"))
        self._util.printable(buffer, ord("?"))
        return buffer.value.decode("latin-1")

    def attr_scan(self, fields: list[list[str]], data: str) -> list[Any]:
        """attr_scan0(): how many values, and the values."""
        stream = self._stream("socket", data)
        places: list[Any] = []
        arguments: list[Any] = []
        for kind, name in fields:
            number = {"int": ctypes.c_int, "long": ctypes.c_long}.get(kind)
            place = number() if number else self._util.vstring_alloc(10)
            pointer = ctypes.byref(place) if number else place
            arguments += [_ATTRIBUTE_TYPES[kind], name.encode(), pointer]
            places.append(place)
        count = self._util.attr_scan0(stream, _ATTR_STRICT, *arguments, 0)
        self._util.vstream_fclose(stream)
        if count != len(fields):
            return [count, []]
        values = [
            place.contents.value if kind in ("string", "data") else place.value
            for (kind, _), place in zip(fields, places, strict=True)
        ]
        return [count, values]

    def mail_copy(self, data: str, offset: int, quote_from: bool) -> list[Any]:
        """mail_copy() of a queue file: its result, what it wrote, the file's mode."""
        # Postfix counts reverse jumps for as long as the name stays the same.
        self._count += 1
        name = f"file{self._count}"
        source = self._stream(name, data)
        self._util.vstream_fseek(source, offset, 0)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        copy = ctypes.c_void_p(self._util.vstream_fopen(b"copy", flags, 0o600))
        status = self._global.mail_copy(
            b"", b"", b"", source, copy, _COPY_QUOTE * quote_from, b"\n", None
        )
        self._util.vstream_fclose(source)
        mode = Path(name).stat().st_mode & 0o777
        return [status, Path("copy").read_bytes().decode("latin-1"), mode]

    def log_adhoc(
        self, queue_id: str, times: list[int], reuse_count: int, recipient: list[str]
    ) -> None:
        """log_adhoc() for a recipient given as its original and present address."""
        original, address = (one.encode("latin-1") for one in recipient)
        self._global.log_adhoc(
            queue_id.encode(),
            ctypes.byref(_Stats((ctypes.c_long * 10)(*times), reuse_count)),
            ctypes.byref(_Recipient(0, b"", 0, original, address, None)),
            b"virtual",
            *self._policies,
            ctypes.byref(_Dsn(b"2.0.0", b"", b"reason")),
            b"sent",
        )

    def log_style(self, max_decimals: int, utf8: bool) -> None:
        """How log_adhoc() writes delays and compares addresses."""
        self._set("var_delay_max_res", max_decimals)
        ctypes.c_int.in_dll(self._util, "util_utf8_enable").value = utf8

    def use_filter(self, maps: str) -> None:
        """bounce_client_init(): the delivery status filter, once in a process."""
        title = b"virtual_delivery_status_filter"
        self._global.bounce_client_init(title, maps.encode())

    def report(
        self,
        outcome: str,
        flags: int,
        recipient: list[Any],
        dsn: list[str],
        soft_bounce: bool,
        negative_cache: bool,
        answers: dict[str, int],
    ) -> list[Any]:
        """sent(), bounce_append() or defer_append(): the result and the requests.

        recipient is original address, address and notify flags; dsn is status, reason
        and diagnostic; answers are the statuses of the services.
        """
        if self._services is None:
            self._services = _Services()
            self._global.flush_init()
        self._services.requests = []
        self._services.answers = answers
        self._set("var_soft_bounce", soft_bounce)
        self._set("var_verify_neg_cache", negative_cache)
        original, address, notify = recipient
        times = (ctypes.c_long * 10)(*(1_000_000_000, 0) * 5)
        function = getattr(self._global, outcome)
        result = function(
            flags,
            b"3F1A2B4C5D",
            ctypes.byref(_Stats(times, 0)),
            ctypes.byref(
                _Recipient(
                    77, b"rfc822;o", notify, original.encode(), address.encode(), None
                )
            ),
            b"virtual",
            *self._policies,
            ctypes.byref(
                _Dsn(
                    *(dsn[0].encode(), b"", dsn[1].encode()),
                    *(b"x-unix" if dsn[2] else b"", dsn[2].encode(), b"", b""),
                )
            ),
        )
        return [result, self._services.requests]


class _Services:
    """bounce, defer, trace, verify and flush, which answer as they are told."""

    def __init__(self) -> None:
        self.answers: dict[str, int] = {}
        self.requests: list[list[str]] = []
        for service in _PROTOCOLS:
            Path(service).parent.mkdir(exist_ok=True)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.bind(service)
            listener.listen()
            thread = threading.Thread(
                target=self._serve, args=(service, listener), daemon=True
            )
            thread.start()

    def _serve(self, service: str, listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            with connection:
                self._converse(service, connection)

    def _converse(self, service: str, connection: socket.socket) -> None:
        connection.sendall(b"protocol\0" + _PROTOCOLS[service] + b"\0\0")
        request = b""
        # A list ends where a name should be; values may be empty.
        while data := connection.recv(65536):
            request += data
            if request.endswith(b"\0\0") and request.count(b"\0") % 2 == 1:
                self.requests.append([service, request.decode("latin-1")])
                status = self.answers.get(service, 0) & 0xFFFF_FFFF
                connection.sendall(b"status\0%d\0\0" % status)
                request = b""


def main() -> None:
    """Read the calls, perform them, write the answers."""
    requested = json.load(sys.stdin)
    log: list[str] = []
    calls = Calls(log)
    answers = []
    for name, *arguments in requested:
        log.clear()
        answers.append((getattr(calls, name)(*arguments), list(log)))
    json.dump(answers, sys.stdout)
    sys.stdout.flush()
    # The libraries have nothing to say at the end.
    os._exit(0)


if __name__ == "__main__":
    main()
