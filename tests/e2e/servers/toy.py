"""A small real server: an HTTP port that says who it is, and a port for sessions. Its misdeeds are options.

usage: toy.py HTTP_PORT [SESSION_PORT] [options]
"""

import argparse
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


class Handler(BaseHTTPRequestHandler):
    version = "1.0"
    mute = False
    name = "e2e-toy"
    mute_while: Path | None = None
    crash_after: float | None = None

    def do_GET(self) -> None:
        while self.mute:
            time.sleep(1)
        while self.mute_while is not None and self.mute_while.exists():
            time.sleep(0.05)
        body = json.dumps({"name": self.name, "version": self.version, "owner": os.environ.get("TOY_OWNER")}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        if self.crash_after is not None:
            threading.Timer(self.crash_after, crash).start()

    def log_message(self, *_: object) -> None:
        pass


def talk() -> None:
    for number in range(1_000_000):
        print(f"line {number}", flush=number % 3 == 0)
        time.sleep(0.001)


def crash() -> None:
    print("e2e-toy: crashing", flush=True)
    os._exit(9)


def hold_sessions(port: int) -> None:
    listener = socket.create_server(("127.0.0.1", port))
    held = []
    while True:
        connection, _ = listener.accept()
        held.append(connection)
        threading.Thread(target=wait_for_end, args=(connection,), daemon=True).start()


def wait_for_end(connection: socket.socket) -> None:
    while connection.recv(1024):
        pass
    connection.close()


def serve(options: argparse.Namespace) -> None:
    Handler.version, Handler.mute, Handler.name = options.version, options.mute, options.name
    Handler.crash_after = options.crash_after
    Handler.mute_while = Path(options.mute_while) if options.mute_while else None
    if options.sessions:
        threading.Thread(target=hold_sessions, args=(options.sessions,), daemon=True).start()
    if options.talk:
        threading.Thread(target=talk, daemon=True).start()
    server = ThreadingHTTPServer((options.address, options.http), Handler)
    if options.holder:
        holder = subprocess.Popen([sys.executable, "-c", STUBBORN], pass_fds=[server.fileno()])
        Path(options.holder).write_text(str(holder.pid), encoding="ascii")
    if options.user:
        os.setuid(options.user)
        # Or /proc says that the process is root's (proc(5), PR_SET_DUMPABLE).
        ctypes.CDLL(None).prctl(4, 1)
    server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("http", type=int)
    parser.add_argument("sessions", type=int, nargs="?")
    parser.add_argument("--version", default="1.0")
    parser.add_argument("--slow-start", type=float, default=0)
    parser.add_argument("--ignore-term", action="store_true")
    parser.add_argument("--child", help="a stubborn child; its pid goes to this file")
    parser.add_argument("--escape", help="a stubborn child in a session of its own; its pid goes to this file")
    parser.add_argument(
        "--daemonize", help="a stubborn grandchild that left session and parent; its pid goes to this file"
    )
    parser.add_argument("--editor", help="a child that ends when it is asked to; its pid goes to this file")
    parser.add_argument("--godot", help="a child that looks like a Godot editor; its pid goes to this file")
    parser.add_argument("--below", type=int, default=0, help="serve from a process so many generations below")
    parser.add_argument("--mute", action="store_true")
    parser.add_argument("--exit", type=int)
    parser.add_argument("--broken", help="the version that ends instead of serving")
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--name", default="e2e-toy")
    parser.add_argument("--user", type=int, help="become this user")
    parser.add_argument("--crash-after", type=float, help="exit with 9 so many seconds after it was first asked")
    parser.add_argument("--holder", help="a child that inherits the listener; its pid goes to this file")
    parser.add_argument("--talk", action="store_true", help="write numbered lines, some of them together")
    parser.add_argument("--mute-while", help="do not answer while this file exists")
    options = parser.parse_args()
    print(f"e2e-toy {options.version} on {options.http}", flush=True)
    if options.broken == options.version:
        options.exit = 3
    if options.exit is not None:
        print("e2e-toy: giving up", flush=True)
        sys.exit(options.exit)
    if options.ignore_term:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for mark, own_session in ((options.child, False), (options.escape, True)):
        if mark:
            child = subprocess.Popen([sys.executable, "-c", STUBBORN], start_new_session=own_session)
            Path(mark).write_text(str(child.pid), encoding="ascii")
    if options.daemonize:
        code = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {STUBBORN!r}], stdout=2).pid)"
        words = [sys.executable, "-c", code]
        pid = subprocess.run(words, start_new_session=True, stdout=subprocess.PIPE, check=True).stdout
        Path(options.daemonize).write_bytes(pid)
    if options.editor:
        editor = subprocess.Popen(["sh", "-c", "sleep 600; true"])
        Path(options.editor).write_text(str(editor.pid), encoding="ascii")
    if options.godot:
        # The kernel shows the words that it was given, whatever runs.
        godot = subprocess.Popen(["godot", "-c", "sleep 600; true", "--editor"], executable="/bin/sh")
        Path(options.godot).write_text(str(godot.pid), encoding="ascii")
    if options.below:
        ports = [str(port) for port in (options.http, options.sessions) if port is not None]
        sys.exit(subprocess.call([sys.executable, __file__, *ports, "--below", str(options.below - 1)]))
    time.sleep(options.slow_start)
    serve(options)


if __name__ == "__main__":
    main()
