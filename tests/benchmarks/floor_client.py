"""The smallest status command: one line over the floor's socket. usage: floor_client.py SOCKET"""

import socket
import sys

with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(sys.argv[1])
    connection.sendall(b"status\n")
    sys.stdout.write(connection.makefile().readline())
