"""A server that starts as users' servers do: it answers, listens, goes into the background or ends in a way of its own.

usage: habits.py HABIT PORT [SECOND_PORT]
"""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

TLS_ALERT = b"\x15\x03\x01\x00\x02\x02\x28"


def http(status: str, body: bytes = b"", *headers: str) -> bytes:
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers))
    return head.encode() + b"\r\n" + body


ANSWERS: dict[str, bytes] = {
    "ok": http("200 OK", b'{"name": "mine", "info": {"name": "x", "ok": true, "protocol": 2}, "error": null}'),
    "text": http("200 OK", b"ok"),
    "list": http("200 OK", b"[1, 2]"),
    "empty": http("200 OK"),
    "created": http("201 Created", b"{}"),
    "no-content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "missing": http("404 Not Found"),
    "moved": http("307 Temporary Redirect", b"", "Location: /health/"),
    "bearer": http("401 Unauthorized", b"", "WWW-Authenticate: Bearer"),
    "basic": http("401 Unauthorized", b"", 'WWW-Authenticate: Basic realm="x"'),
    "busy": http("503 Service Unavailable"),
    "upgrade": http("426 Upgrade Required", b"", "Upgrade: websocket"),
    "big": http("200 OK", b'{"x": "' + b"y" * 70_000 + b'"}'),
    "old": b"HTTP/1.0 200 OK\r\n\r\nfine",
    "bare": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "ssh": b"SSH-2.0-OpenSSH_9.6\r\n",
    "https": b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
    "tls": b"",
    "mute": b"",
    "silent": b"",
}


def listen(port: int, address: str = "127.0.0.1") -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if ":" in address:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    listener.bind((address, port))
    listener.listen(16)
    return listener


def answer(connection: socket.socket, habit: str) -> None:
    with connection:
        asked = connection.recv(65536)
        if habit == "silent":
            return
        if habit == "mute":
            time.sleep(600)
        if habit == "tls":
            # As OpenSSL does: what is no TLS gets no answer, a handshake that leads nowhere an alert.
            connection.sendall(TLS_ALERT if asked.startswith(b"\x16\x03") else b"")
            return
        if habit == "localhost":
            wanted = b"\r\nhost: localhost:" in asked.lower()
            connection.sendall(ANSWERS["ok"] if wanted else http("403 Forbidden"))
            return
        connection.sendall(ANSWERS.get(habit, ANSWERS["ok"]))


def serve(listener: socket.socket, habit: str) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection, habit), daemon=True).start()


def ready(port: int) -> None:
    serve(listen(port), "ok")


def background(*, session: bool) -> None:
    """Go on as an orphan, in a session of its own if so wished."""
    if os.fork():
        os._exit(0)
    if session:
        os.setsid()
        if os.fork():
            os._exit(0)


def fork(port: int) -> None:
    background(session=False)
    ready(port)


def daemonize(port: int) -> None:
    background(session=True)
    ready(port)


def daemonize_late(port: int) -> None:
    background(session=True)
    time.sleep(2.5)
    ready(port)


def daemonize_elsewhere(port: int) -> None:
    background(session=True)
    ready(port + 50)


def daemonize_idle(_port: int) -> None:
    background(session=True)
    time.sleep(600)


def again(port: int) -> None:
    if "again" not in os.environ:
        time.sleep(0.3)
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "again": "1"})
    ready(port)


def launcher(port: int) -> None:
    subprocess.Popen([sys.executable, __file__, "ok", str(port)])
    time.sleep(0.5)


def reader(_port: int) -> None:
    if not sys.stdin.read(1):
        print("end of input", flush=True)


def reading(port: int) -> None:
    # Like real servers, it finds its input closed before it listens.
    listening = threading.Timer(0.3, ready, (port,))
    listening.daemon = True
    listening.start()
    sys.stdin.read()


def broken(_port: int) -> None:
    sys.exit("ModuleNotFoundError: No module named 'mcp.server.fastmcp'")


def brief(_port: int) -> None:
    time.sleep(2.5)
    sys.exit(7)


def raced(port: int) -> None:
    """Another process had the port when it bound, and has left again. Once."""
    mark = Path("raced")
    if mark.exists():
        ready(port)
    mark.touch()
    print(f"ERROR: [Errno 98] error while attempting to bind on address ('127.0.0.1', {port}): address already in use")
    print("\n".join(f'  File "frame.py", line {number}' for number in range(60)), flush=True)
    sys.exit(3)


BEGINNINGS: dict[str, Callable[[int], None]] = {
    "fork": fork,
    "daemonize": daemonize,
    "daemonize-late": daemonize_late,
    "daemonize-elsewhere": daemonize_elsewhere,
    "daemonize-idle": daemonize_idle,
    "again": again,
    "launcher": launcher,
    "reader": reader,
    "reading": reading,
    "broken": broken,
    "brief": brief,
    "raced": raced,
    "idle": lambda _port: time.sleep(600),
    "next": lambda port: ready(port + 50),
    "first-only": ready,
    "::1": lambda port: serve(listen(port, "::1"), "ok"),
    "::": lambda port: serve(listen(port, "::"), "ok"),
    "0.0.0.0": lambda port: serve(listen(port, "0.0.0.0"), "ok"),
    "127.0.0.2": lambda port: serve(listen(port, "127.0.0.2"), "ok"),
}


def main() -> None:
    habit, port = sys.argv[1], int(sys.argv[2])
    BEGINNINGS.get(habit, lambda port: serve(listen(port), habit))(port)


if __name__ == "__main__":
    main()
