"""A server on this machine that answers with whatever bytes a test gives it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

Answer = bytes | Iterable[bytes | float]
"""Bytes, or pieces of them with pauses in seconds between; what has no end is cut by the client."""


class RawServer:
    """Answers each path by what was put for it, and counts how often it was asked.

    Attributes:
        address: ``127.0.0.1:PORT``.
        asked: what was asked for, path by path, in order.
        heads: the bytes of each request.
    """

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.asked: list[str] = []
        self.heads: list[bytes] = []
        self._answers: dict[str, Answer] = {}
        threading.Thread(target=self._serve, daemon=True).start()

    def put(self, path: str, answer: Answer) -> None:
        """Say what a path is answered with."""
        self._answers[path] = answer

    def close(self) -> None:
        """Answer nobody any more."""
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(5)
            try:
                head = connection.recv(65_536)
                self.heads.append(head)
                # A handshake begins with this byte.
                path = "/tls" if head[:1] == b"\x16" else head.split(b" ")[1].decode()
                self.asked.append(path)
                answer = self._answers.get(path, b"HTTP/1.1 404 Not Found\r\n\r\n")
                for piece in [answer] if isinstance(answer, bytes) else answer:
                    if isinstance(piece, float):
                        time.sleep(piece)
                    else:
                        connection.sendall(piece)
            except OSError:
                return  # the client had enough


@contextmanager
def raw_server() -> Iterator[RawServer]:
    """Run a server inside the block."""
    server = RawServer()
    try:
        yield server
    finally:
        server.close()
