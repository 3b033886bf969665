"""A server that answers in hostile ways, or prints what no terminal should get.

usage: rogue.py HTTP_PORT MANNER [OTHER_PORT]
"""

import itertools
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
ME = b'{"name": "rogue", "version": "1.0"}'
MIB = 1024 * 1024
ESCAPES = (
    b"\x1b]0;owned\x07\x1b[2J\x1b[31mred\x1b[0m \x9b8m \xc2\x9b8m \x08\x7f "
    b"\xe2\x80\xaegnp.exe\xe2\x80\xac \xff\xfe tab\there\n"
)


def whole(body: bytes) -> bytes:
    return OK + b"Content-Length: %d\r\n\r\n" % len(body) + body


def megabytes() -> Iterator[bytes]:
    """Send as much as the client takes, which would be JSON in the end."""
    yield OK + b'Content-Length: 100000000\r\n\r\n{"name": "rogue", "version": "1.0", "x": "'
    yield from itertools.repeat(b"x" * MIB)


def drip() -> Iterator[bytes]:
    """The right answer, a byte a second."""
    for number in itertools.count():
        answer = whole(ME)
        yield answer[number : number + 1] or b" "
        time.sleep(1)


def headers() -> Iterator[bytes]:
    """Headers without end."""
    yield OK
    yield from (b"X-%d: %s\r\n" % (number, b"y" * 1000) for number in itertools.count())


def chunks() -> Iterator[bytes]:
    """A body in pieces of which the lengths are nonsense."""
    yield OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"zz\r\n" + b"\xff" * 5000 + b"\r\n-5\r\n\r\n"


def crumbs() -> Iterator[bytes]:
    """A body of a hundred thousand pieces."""
    yield OK + b"Transfer-Encoding: chunked\r\n\r\n"
    yield from itertools.repeat(b"1\r\n \r\n" * 1000)


def elsewhere() -> Iterator[bytes]:
    """Redirect to another server."""
    yield b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/\r\nContent-Length: 0\r\n\r\n" % int(sys.argv[3])


MANNERS: dict[str, Callable[[], Iterator[bytes]]] = {
    "megabytes": megabytes,
    "drip": drip,
    "headers": headers,
    "chunks": chunks,
    "crumbs": crumbs,
    "elsewhere": elsewhere,
    "mute": lambda: iter(lambda: time.sleep(600) or b"", None),
    "other": lambda: iter([b"SSH-2.0-" + b"\x1b[2J" * 10_000 + b"\r\n\r\n"]),
    "deep": lambda: iter([whole(b"[" * 60_000)]),
    "digits": lambda: iter([whole(b'{"name": "rogue", "version": ' + b"9" * 50_000 + b"}")]),
    "long": lambda: iter([whole(b'{"name": "rogue", "version": "' + b"1" * 50_000 + b'"}')]),
    "escapes": lambda: iter([whole(b'{"name": "rogue", "version": "\\u001b[2J1.0"}')]),
    "wild": lambda: iter([whole(b'{"name": "rogue", "version": "../../../tmp/x y"}')]),
    "good": lambda: iter([whole(ME)]),
    "crowd": lambda: iter([whole(ME)]),
    "loud": lambda: iter([whole(ME)]),
}


def serve(port: int, manner: str) -> None:
    listener = socket.create_server(("127.0.0.1", port))
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection, manner), daemon=True).start()


def answer(connection: socket.socket, manner: str) -> None:
    with connection:
        try:
            asked = b""
            while b"\r\n\r\n" not in asked:
                piece = connection.recv(65536)
                if not piece:
                    return
                asked += piece
            crowded = manner == "crowd" and asked.startswith(b"GET /sessions ")
            for piece in MANNERS["megabytes" if crowded else manner]():
                connection.sendall(piece)
        except OSError:
            return


def shout() -> None:
    """Write as much as the disk takes."""
    line = b"%s\n" % (b"z" * 1023)
    while True:
        os.write(1, line * 512)


def main() -> None:
    port, manner = int(sys.argv[1]), sys.argv[2]
    os.write(1, ESCAPES)
    if manner == "loud":
        threading.Thread(target=shout, daemon=True).start()
    serve(port, manner)


if __name__ == "__main__":
    main()
