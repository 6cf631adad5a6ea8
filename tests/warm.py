"""Processes that start warm: forks of one that has imported torch, for tests that start many.

A fresh process spends two seconds of CPU on importing torch before it does a thing. Here it is a fork of a process that
has done the imports and nothing else: still a process of its own, with its own memory, arguments, environment, folder,
exit code and signals, which shares nothing with the test but what lies on disk. What it cannot show is that the imports
are enough: that is for tests marked `cold`, whose processes begin with nothing.

Warm are our own modules by name (`-P -m core.…`), and scripts that read a file with torch alone (`-I -c`), from a
process that knows torch and nothing of ours.
"""

import contextlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Sequence
from typing import Any

OURS = ("core.delivery.bundles.verify", "core.jobs.worker")
_IMPORTS = {
    "ours": "core.api core.delivery.bundles.verify core.jobs.works.registry core.jobs.worker",
    "theirs": "numpy torch safetensors.torch networkx torch.export._unlift torch.export.pt2_archive._package "
    "torch._export.serde.serialize torch._inductor.codecache",  # the latter are what torch.export.load imports
}
_Popen = subprocess.Popen


is_on = True  # off while a test is `cold`


class Popen(_Popen):  # type: ignore[type-arg]
    """`subprocess.Popen`, which starts warm what can be."""

    def __new__(cls, args: Any, *more: Any, **options: Any) -> Any:
        if is_on and (kind := _kind(args, more, options)):
            return _Warm(kind, args, **options)
        return super().__new__(cls)


def _kind(args: Any, more: Sequence[Any], options: dict[str, Any]) -> str | None:
    """Which of the two processes to fork; `None` starts one anew."""
    understood = {"stdin", "stdout", "stderr", "cwd", "env", "start_new_session"}
    if more or isinstance(args, str | bytes) or not options.keys() <= understood or len(args) < 4:
        return None
    for stream in ("stdin", "stdout", "stderr"):
        at = options.get(stream)
        if not (at in (None, subprocess.DEVNULL) or hasattr(at, "fileno") or (stream, at) == ("stderr", -2)):
            return None
    if list(args[:3]) == [sys.executable, "-P", "-m"] and args[3] in OURS:
        return "ours"
    if list(args[:3]) == [sys.executable, "-I", "-c"] and "import torch" in args[3]:
        return "theirs"
    return None


class _Warm:
    """A forked process, with what is used of `Popen`."""

    def __init__(self, kind: str, args: Sequence[str], **options: Any) -> None:
        sys.audit("subprocess.Popen", args[0], args, options.get("cwd"), options.get("env"))
        self.args, self.returncode = args, None
        with open(os.devnull, "r+b") as null:
            fds = []
            for stream, usual in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
                at = options.get(stream)
                if at == subprocess.STDOUT:
                    fds.append(fds[1])
                else:
                    fds.append(usual if at is None else null.fileno() if at == subprocess.DEVNULL else at.fileno())
            self._status, theirs = socket.socketpair()
            with theirs:
                env = dict(os.environ if options.get("env") is None else options["env"])
                asked = {
                    "args": list(map(os.fspath, args)),
                    "env": env,
                    "cwd": os.fspath(options.get("cwd") or os.getcwd()),
                    "session": bool(options.get("start_new_session")),
                }
                _ask(kind, asked, [*fds, theirs.fileno()])
        self.pid = int(self._read(None))  # the process is there

    def _read(self, timeout: float | None) -> str:
        """One line of the fork's parent; empty if there is none in time."""
        if not select.select([self._status], [], [], timeout)[0]:
            return ""
        line = b""
        while not line.endswith(b"\n"):
            line += self._status.recv(1) or b"-9\n"  # whoever waits for it was killed too
        return line.decode()

    def poll(self) -> int | None:
        if self.returncode is None and (said := self._read(0)):
            self._end(said)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            said = self._read(timeout)
            if not said:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self._end(said)
        assert self.returncode is not None
        return self.returncode

    def _end(self, said: str) -> None:
        code, cpu = said.split()
        self.returncode = int(code)
        self._status.close()
        SPENT.append(float(cpu))

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, sig)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def __enter__(self) -> "_Warm":
        return self

    def __exit__(self, *_: object) -> None:
        self.wait()


SPENT: list[float] = []  # seconds of CPU of warm processes that ended: they are not children of this one
_servers: dict[str, tuple[Any, socket.socket]] = {}


def _ask(kind: str, asked: dict[str, Any], fds: list[int]) -> None:
    if kind not in _servers:
        ours, theirs = socket.socketpair()
        with theirs:
            server = _Popen(
                [sys.executable, "-P", __file__, str(theirs.fileno()), *_IMPORTS[kind].split()],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        _servers[kind] = (server, ours)
    text = json.dumps(asked).encode()
    connection = _servers[kind][1]
    socket.send_fds(connection, [len(text).to_bytes(4, "big")], fds)
    connection.sendall(text)


def install() -> None:
    """From here on `subprocess.Popen` starts warm what can be."""
    subprocess.Popen = Popen  # type: ignore[misc]


def stop() -> None:
    """End the processes that are forked from."""
    for server, connection in _servers.values():
        connection.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(10)
        server.kill()
        server.wait()
    _servers.clear()


def _serve(connection: socket.socket) -> None:
    """Fork a process for every request, until the test process closes its end."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # those that wait are not waited for
    while True:
        size, fds, _, _ = socket.recv_fds(connection, 4, 4)
        if not size:
            return
        text = b""
        while len(text) < int.from_bytes(size, "big"):
            text += connection.recv(1 << 20)
        if os.fork() == 0:
            connection.close()
            _wait_for_one(json.loads(text), fds)
        for fd in fds:
            os.close(fd)


def _wait_for_one(asked: dict[str, Any], fds: list[int]) -> None:
    """Fork the process, tell its id, and how it ended with the CPU that it took."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()  # a Ctrl-C, or the end of its process group, is not for the one that waits
    *streams, status = fds
    ready, go = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(status)
        os.close(go)
        os.read(ready, 1)
        os.close(ready)
        _be(asked, streams)
    with socket.socket(fileno=status) as told:
        for fd in streams:
            with contextlib.suppress(OSError):  # one may stand for two
                os.close(fd)
        told.sendall(f"{pid}\n".encode())
        os.write(go, b".")
        _, ended, used = os.wait4(pid, 0)
        told.sendall(f"{os.waitstatus_to_exitcode(ended)} {used.ru_utime + used.ru_stime}\n".encode())
    os._exit(0)


def _be(asked: dict[str, Any], streams: list[int]) -> None:
    """Become the process that was asked for."""
    code = 1
    try:
        for at, fd in enumerate(streams):
            os.dup2(fd, at)
        if asked["session"]:
            os.setsid()
        os.chdir(asked["cwd"])
        os.environ.clear()
        os.environ.update(asked["env"])
        _, _, how, what, *words = asked["args"]
        if how == "-m":
            sys.argv = [what, *words]
            sys.modules.pop(what, None)
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            sys.argv = ["-c", *words]
            exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        if code == 1 and not isinstance(end.code, int):
            print(end.code, file=sys.stderr)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    import importlib

    for name in sys.argv[2:]:
        with contextlib.suppress(ImportError):  # another version of torch keeps its own elsewhere
            importlib.import_module(name)
    _serve(socket.socket(fileno=int(sys.argv[1])))
    os._exit(0)
