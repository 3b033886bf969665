"""The smallest status command: one line over the floor's socket. usage: floor_client.py SOCKET"""

import socket
import sys

with socket.socket(socket.AF_UNIX) as door:
    door.connect(sys.argv[1])
    door.sendall(b"status\n")
    sys.stdout.write(door.makefile().readline())
