"""Imports the command line, and forks a process for each command that is asked for."""

import gc
import os
import select
import signal
import socket
import sys
from typing import NoReturn

from brex_sync import cli


def main(path: str) -> None:
    """Serves until standard input is closed."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(64)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.collect()
    gc.freeze()
    print("ready", flush=True)
    while True:
        ready, _, _ = select.select([listener, 0], [], [])
        if 0 in ready:
            os.unlink(path)
            os.rmdir(os.path.dirname(path))
            return
        line, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _attend(line)
        line.close()


def _attend(line: socket.socket) -> NoReturn:
    """Runs one command, tells its exit code, and ends; kills it if nobody waits any more."""
    head, descriptors, _, _ = socket.recv_fds(line, 4, 3)
    told = _receive(line, int.from_bytes(head, "big"))
    cwd, number, *rest = told.decode("utf-8", "surrogateescape").split("\0")
    words, variables = rest[: int(number)], rest[int(number) :]
    child = os.fork()
    if child == 0:
        line.close()
        for descriptor, standard in zip(descriptors, (0, 1, 2), strict=True):
            os.dup2(descriptor, standard)
            os.close(descriptor)
        _run(cwd, words, dict(variable.split("=", 1) for variable in variables))
    for descriptor in (0, 1, *descriptors):
        os.close(descriptor)
    code = _watch(line, child)
    line.sendall(code.to_bytes(4, "big", signed=True))
    os._exit(0)


def _receive(line: socket.socket, size: int) -> bytes:
    told = b""
    while len(told) < size:
        told += line.recv(size - len(told))
    return told


def _run(cwd: str, words: list[str], environment: dict[str, str]) -> NoReturn:
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    sys.argv = ["brex-sync", *words]
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    code = 0
    try:
        cli.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        code = 1
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _watch(line: socket.socket, child: int) -> int:
    ended = os.pidfd_open(child)
    while True:
        ready, _, _ = select.select([line, ended], [], [])
        if ended in ready:
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if number := line.recv(1):
            os.kill(child, number[0])
        else:
            os.kill(child, signal.SIGKILL)
            line.close()
            os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
