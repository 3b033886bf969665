"""The smallest server that says who it is: it starts in a fifth of the toy's time. Each connection carries one request.

usage: mini.py PORT VERSION
"""

import socket
import sys

port, version = int(sys.argv[1]), sys.argv[2]
body = f'{{"name":"mini","version":"{version}"}}'.encode()
head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(
    body
)
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", port))
listener.listen(64)
while True:
    connection, _ = listener.accept()
    try:
        connection.settimeout(5)
        asked = b""
        while b"\r\n\r\n" not in asked:
            more = connection.recv(4096)
            if not more:
                break
            asked += more
        connection.sendall(head + body)
    except OSError:
        pass
    finally:
        connection.close()
