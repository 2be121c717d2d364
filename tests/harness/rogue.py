"""A server on loopback that does what a script says: a broken or a hostile one."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class Channel:
    """One connection, as the script sees it; last is what was last read."""

    def __init__(self, server: Rogue, connection: socket.socket) -> None:
        self._server = server
        self.connection = connection
        self.last = b""

    def read(self, length: int) -> bytes:
        """So many bytes; EOFError when the client has gone."""
        content = b""
        while len(content) < length:
            more = self.connection.recv(length - len(content))
            if not more:
                raise EOFError
            content += more
        self._server.said.append(content)
        self.last = content
        return content

    def send(self, content: bytes) -> None:
        self.connection.sendall(content)

    def drip(self, content: bytes) -> None:
        """A byte now and then, as long as anyone listens."""
        for number in range(len(content)):
            self.send(content[number : number + 1])
            if self._server.is_over.wait(0.02):
                return

    def stay(self) -> None:
        """Say nothing more, until the client has gone."""
        while self.connection.recv(65536):
            pass

    def start_tls(self, certificates: Path) -> None:
        """Go on with TLS, as server.pem says."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(
            certificates / "server.pem", certificates / "server.key"
        )
        self.connection = context.wrap_socket(self.connection, server_side=True)


Script = Callable[[Channel], None]


class Rogue:
    """The server.

    said         what clients have sent, in the pieces that the script read
    connections  how many there were
    is_over      set when the test has ended
    """

    def __init__(self, script: Script) -> None:
        self.said: list[bytes] = []
        self.connections = 0
        self.is_over = threading.Event()
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = [self._listener]
        self._threads: list[threading.Thread] = []
        self._run(self._accept)

    @property
    def heard(self) -> bytes:
        """All that clients have sent and the script has read."""
        return b"".join(self.said)

    def _run(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while not self.is_over.is_set():
                connection, _ = self._listener.accept()
                self.connections += 1
                self._open.append(connection)
                self._run(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        channel = Channel(self, connection)
        # The client may leave in the middle of anything.
        with suppress(OSError, EOFError, ValueError):
            self._script(channel)
        channel.connection.close()

    def stop(self) -> None:
        self.is_over.set()
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for one in self._open:
            one.close()


@contextmanager
def rogue(script: Script) -> Iterator[Rogue]:
    """A server that runs the script with each connection."""
    server = Rogue(script)
    try:
        yield server
    finally:
        server.stop()
