"""TCP servers that are no databases: one that never answers, one that resets whoever comes."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress


@contextmanager
def listener(*, resets: bool) -> Iterator[int]:
    """The port of a server on 127.0.0.1 that accepts connections, and says nothing or resets them; all are closed at the end."""
    taken: list[socket.socket] = []

    def serve() -> None:
        with suppress(OSError):  # closed by the end
            while True:
                connection, _ = server.accept()
                if resets:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    connection.close()
                else:
                    taken.append(connection)

    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        for connection in taken:
            connection.close()


def free_port() -> int:
    """A port on which nobody listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        return int(probe.getsockname()[1])
