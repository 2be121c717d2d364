"""A stand-in for MongoDB: documents in memory, asked over TCP on loopback.

It speaks as much of the wire protocol as a driver needs to look something up, and
really evaluates filters and projections: equality, which also looks into lists, `$and`,
`$or`, `$eq`, `$ne`, `$gt`, `$in` and `$regex`. It refuses what it does not know. Each
filter is kept as it came, so that a test can see what an address has become.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from operator import xor
from pathlib import Path
from typing import Any

from tests.harness.databases import SECRET, driver

bson = driver("bson")

Document = dict[str, Any]

# Of every user; nobody has to log in.
PASSWORD = SECRET

OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013
_HEADER = struct.Struct("<iiii")
# Documents in one answer; the driver has to ask for those that are left.
BATCH = 2

_HELLO = {
    "helloOk": True,
    "isWritablePrimary": True,
    "ismaster": True,
    "maxBsonObjectSize": 1 << 24,
    "maxMessageSizeBytes": 48_000_000,
    "maxWriteBatchSize": 100_000,
    "logicalSessionTimeoutMinutes": 30,
    "minWireVersion": 0,
    "maxWireVersion": 21,
    "ok": 1,
}


class RefusedError(Exception):
    """The server does not answer this command."""

    def __init__(self, text: str, code: int = 2) -> None:
        super().__init__(text)
        self.code = code


class Mongod:
    """The server. It can be stopped, and started again on the same port.

    documents   what it has
    filters     every filter that was asked, oldest first
    greeting    what it says about itself that is not as usual
    broken      commands that it refuses, with the text of the refusal
    silent      commands that it never answers
    """

    def __init__(
        self, documents: list[Document], certificates: Path | None = None
    ) -> None:
        self.documents = documents
        self.filters: list[Document] = []
        self.greeting: Document = {}
        self.broken: dict[str, str] = {}
        self.silent: set[str] = set()
        self.connections = 0
        self.port = 0
        self._tls: ssl.SSLContext | None = None
        if certificates:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(
                certificates / "server.pem", certificates / "server.key"
            )
        self._listener: socket.socket | None = None
        self._threads: list[threading.Thread] = []
        self._sockets: set[socket.socket] = set()
        self._challenges: list[bytes] = []
        self._left: dict[int, list[Document]] = {}
        self._guard = threading.Lock()

    def start(self) -> None:
        """Listen; the port is kept over a restart."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        self._run(self._accept, self._listener)

    def stop(self) -> None:
        """End at once, as a crash would, with all connections."""
        with self._guard:
            listener, self._listener = self._listener, None
            for one in [listener, *self._sockets]:
                if one is not None:
                    with suppress(OSError):
                        one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        if listener is not None:
            listener.close()

    def _run(self, target: Any, *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self._guard:
                if self._listener is None:
                    connection.close()
                    return
                self.connections += 1
                self._sockets.add(connection)
                self._run(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        try:
            with self._secured(connection) as channel:
                while self._answer_one(channel):
                    pass
        except OSError:
            pass  # the client went away, or the server is stopping
        finally:
            with self._guard:
                self._sockets.discard(connection)
            connection.close()

    @contextmanager
    def _secured(self, connection: socket.socket) -> Iterator[socket.socket]:
        if self._tls is None:
            yield connection
            return
        # A copy of the descriptor, so that stop() can end the connection under it.
        with self._tls.wrap_socket(connection.dup(), server_side=True) as channel:
            yield channel

    def _answer_one(self, channel: socket.socket) -> bool:
        head = _read(channel, _HEADER.size)
        if len(head) < _HEADER.size:
            return False
        length, request, _, operation = _HEADER.unpack(head)
        if operation not in (OP_QUERY, OP_MSG):
            return False  # not of this protocol
        body = _read(channel, length - _HEADER.size)
        if operation == OP_QUERY:
            # flags, name of the collection, two numbers, document
            start = body.index(b"\0", 4) + 9
            command = bson.decode(body[start:])
        else:
            # flags, kind of the section, document
            command = bson.decode(body[5:])
        name = next(iter(command))
        if name in self.silent:
            return True
        answer = self._answer(name, command)
        if operation == OP_QUERY:
            reply = struct.pack("<iqii", 8, 0, 0, 1) + bson.encode(answer)
            kind = OP_REPLY
        else:
            reply = struct.pack("<ib", 0, 0) + bson.encode(answer)
            kind = OP_MSG
        head = _HEADER.pack(_HEADER.size + len(reply), 1, request, kind)
        channel.sendall(head + reply)
        return True

    def _answer(self, name: str, command: Document) -> Document:
        try:
            if name in self.broken:
                raise RefusedError(self.broken[name])
            if name in ("hello", "isMaster", "ismaster"):
                return _HELLO | self.greeting
            if name in ("endSessions", "killCursors"):
                return {"ok": 1}
            if name == "saslStart":
                return self._challenge(command)
            if name == "saslContinue":
                return self._verify(command)
            if name == "find":
                return self._find(command)
            if name == "getMore":
                return self._batch(command, "nextBatch", self._left.pop(command[name]))
            raise RefusedError(f"no such command: '{name}'", 59)
        except RefusedError as error:
            return {"ok": 0, "errmsg": str(error), "code": error.code}

    def _challenge(self, command: Document) -> Document:
        """The first step of SCRAM-SHA-256."""
        if command["mechanism"] != "SCRAM-SHA-256":
            raise RefusedError("Authentication failed.", 18)
        said = bytes(command["payload"]).removeprefix(b"n,,")
        challenge = said.partition(b",")[2] + b"stand-in,s=c2FsdHNhbHQ=,i=4096"
        number = len(self._challenges)
        self._challenges.append(said + b"," + challenge)
        return {
            "conversationId": number,
            "done": False,
            "payload": challenge,
            "ok": 1,
        }

    def _verify(self, command: Document) -> Document:
        """The second step: whoever knows the password can make the proof."""
        said, _, proof = bytes(command["payload"]).partition(b",p=")
        everything = self._challenges[command["conversationId"]] + b"," + said
        salted = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), b"saltsalt", 4096)
        key = _hmac(salted, b"Client Key")
        signature = _hmac(hashlib.sha256(key).digest(), everything)
        if base64.b64decode(proof) != bytes(map(xor, key, signature)):
            raise RefusedError("Authentication failed.", 18)
        ours = _hmac(_hmac(salted, b"Server Key"), everything)
        return {"done": True, "payload": b"v=" + base64.b64encode(ours), "ok": 1}

    def _find(self, command: Document) -> Document:
        self.filters.append(command["filter"])
        found = [
            projected(document, command.get("projection", {}))
            for document in self.documents
            if matches(document, command["filter"])
        ]
        return self._batch(command, "firstBatch", found)

    def _batch(
        self, command: Document, name: str, documents: list[Document]
    ) -> Document:
        cursor = 0
        if documents[BATCH:]:
            cursor = len(self.filters)
            self._left[cursor] = documents[BATCH:]
        namespace = f"{command['$db']}.{command.get('find') or command['collection']}"
        return {
            "cursor": {
                "id": bson.Int64(cursor),
                "ns": namespace,
                name: documents[:BATCH],
            },
            "ok": 1,
        }


def _hmac(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha256")


def _read(channel: socket.socket, length: int) -> bytes:
    """So many bytes; fewer at the end."""
    content = b""
    while len(content) < length and (more := channel.recv(length - len(content))):
        content += more
    return content


def matches(document: Document, wanted: Document) -> bool:
    """Whether a document is what a filter asks for."""
    for name, condition in wanted.items():
        if name in ("$or", "$and"):
            some = any if name == "$or" else all
            if not some(matches(document, one) for one in condition):
                return False
        elif name.startswith("$"):
            raise RefusedError(f"unknown top level operator: {name}")
        elif not _fits(document.get(name), condition):
            return False
    return True


def _fits(value: Any, condition: Any) -> bool:
    values = [value, *value] if isinstance(value, list) else [value]
    if isinstance(condition, bson.Regex):
        condition = {"$regex": condition.pattern}
    if not isinstance(condition, dict):
        return condition in values
    for operator, operand in condition.items():
        if operator not in _OPERATORS:
            raise RefusedError(f"unknown operator: {operator}")
        if not _OPERATORS[operator](values, operand):
            return False
    return True


_OPERATORS = {
    "$eq": lambda values, operand: operand in values,
    "$ne": lambda values, operand: operand not in values,
    "$gt": lambda values, operand: any(
        type(one) is type(operand) and one > operand for one in values
    ),
    "$in": lambda values, operand: any(one in values for one in operand),
    "$regex": lambda values, operand: any(
        isinstance(one, str) and re.search(operand, one) for one in values
    ),
}


def projected(document: Document, shown: Document) -> Document:
    """What a projection leaves of a document."""
    kinds = {bool(how) for name, how in shown.items() if name != "_id"}
    if len(kinds) > 1:
        raise RefusedError(
            "Cannot do exclusion on field in inclusion projection", 31254
        )
    hidden = {name for name, how in shown.items() if not how}
    return {
        name: value
        for name, value in document.items()
        if name not in hidden and (kinds != {True} or name in shown or name == "_id")
    }
