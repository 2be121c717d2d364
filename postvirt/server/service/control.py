"""The service's end of the control socket (`control_client` has the other).

The service answers when it has done what it was told, and closes the connection; after
"stop", the connection is closed when the service ends.

Raises: nothing.
Security: the socket has mode 0600, and only root, or the user that started the service,
    may connect.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Mapping
from functools import partial

from postvirt.server.loop import Loop
from postvirt.server.service.control_client import Answer, peer
from postvirt.system import log
from postvirt.system.shortage import AGAIN_SECONDS, Shortage

Reply = Callable[[Answer], None]
Command = Callable[[Reply], None]

# Commands are short.
_MOST_COMMAND_BYTES = 4096

_BACKLOG = 10


class Control:
    """The service's end.

    commands    what to do, by name; each is called with the function to reply with
    """

    def __init__(
        self,
        loop: Loop,
        path: str,
        commands: Mapping[str, Command],
    ) -> None:
        self._loop = loop
        self._path = path
        self._commands = commands
        self._waiting_for_the_end: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.setblocking(False)
        _remove(path)
        before = os.umask(0o177)
        try:
            self._listener.bind(path)
        finally:
            os.umask(before)
        self._listener.listen(_BACKLOG)
        self._shortage = Shortage("accept control connection")
        self._listen()

    def close(self) -> None:
        """Accept no more commands."""
        if self._is_listening:
            self._loop.remove_source(self._listener.fileno())
        self._listener.close()
        _remove(self._path)

    def _listen(self) -> None:
        self._is_listening = True
        self._loop.add_source(self._listener.fileno(), self._accept)

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except BlockingIOError:
            return  # the client is gone
        except OSError as error:
            self._shortage.tell(error)
            self._is_listening = False
            self._loop.remove_source(self._listener.fileno())
            self._loop.call_after(AGAIN_SECONDS, self._listen)
            return
        uid = peer(client)
        if uid not in (0, os.getuid()):
            log.warning(f"control connection of user {uid} refused")
            client.close()
            return
        client.setblocking(False)
        received = bytearray()
        hear = partial(self._hear, client, received)
        self._loop.add_source(client.fileno(), hear)

    def _hear(self, client: socket.socket, received: bytearray) -> None:
        try:
            data = client.recv(_MOST_COMMAND_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        received += data
        if data and b"\n" not in data and len(received) < _MOST_COMMAND_BYTES:
            return
        self._loop.remove_source(client.fileno())
        if not data:
            client.close()
            return
        self._loop.keep(client.fileno())
        self._obey(bytes(received), partial(self._reply, client))

    def _obey(self, line: bytes, reply: Reply) -> None:
        try:
            command = self._commands[json.loads(line)["command"]]
        except (ValueError, TypeError, KeyError, RecursionError):
            reply({"problems": ["unknown command"]})
            return
        command(reply)

    def _reply(self, client: socket.socket, answer: Answer) -> None:
        client.settimeout(1.0)  # the client has only just asked
        try:
            client.sendall(json.dumps(answer).encode() + b"\n")
        except OSError:
            pass  # the client is gone
        if answer.get("ends"):
            self._waiting_for_the_end.append(client)
        else:
            self._loop.release(client.fileno())
            client.close()


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
