"""What a test starts and waits for: it has the server fork, and stands for the command."""

import os
import signal
import socket
import sys


def main(server: str, words: list[str]) -> int:
    """Asks for the command and waits for it; its exit code, where a signal is minus its number."""
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    line.connect(server)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _: line.send(bytes([number])))
    environment = [f"{key}={value}" for key, value in os.environ.items()]
    parts = [os.getcwd(), str(len(words)), *words, *environment]
    told = "\0".join(parts).encode("utf-8", "surrogateescape")
    socket.send_fds(line, [len(told).to_bytes(4, "big")], [0, 1, 2])
    line.sendall(told)
    for descriptor in (0, 1, 2):
        os.close(descriptor)
    return int.from_bytes(line.recv(4), "big", signed=True)


code = main(sys.argv[1], sys.argv[2:])
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
