"""One twin for all of a user's processes that want the same, for as long as one of them holds it.

    hold = held("h200x8", 1.0, "0.5.23")   # joins the twin that runs, or starts it
    hold.url, hold.holders()
    let_go(hold.url)                       # the last to let go ends it

A file that only its user can read says where the twin is, and has a key. To hold the twin is to
keep a connection to it open (`kit.twin.holders`): the system closes it when the process ends,
however it ends. By the key both sides prove who they are, so nobody else can pose as the twin.
A twin of another version, or of code that has changed since, has another file: it is left to
those who hold it.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import importlib
import json
import os
import re
import secrets
import socket
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import IO, Any

from kit import page
from kit.text_file import write_text
from kit.twin import process
from kit.twin.holders import PATH, sign
from kit.twin.inside import InsideTwin, start

posix_locks: Any = None
windows_locks: Any = None
try:
    import fcntl

    posix_locks = fcntl
except ImportError:
    with contextlib.suppress(ImportError):
        windows_locks = importlib.import_module("msvcrt")

FOLDER = "KIT_TWIN_FOLDER"  # names the folder of the files; by default one of this machine
_WAIT_S = 2.0  # for a twin that should be there to answer, and for one that ends to be gone
_POLL_S = 0.02
_MOST_SAID = 8192  # bytes before its proof
_COUNT = re.compile(rb"holders (\d+)\n")
_PACKAGE = Path(__file__).resolve().parents[1]


class Hold:
    """A twin that this process uses. `url` is without /v1."""

    def __init__(
        self, url: str, pid: int, connection: socket.socket, said: bytes, bench: Path
    ) -> None:
        self.url = url
        self.pid = pid
        self._connection = connection
        self._bench = bench
        self._holders = _count(said, 1)
        self._owner = os.getpid()

    @property
    def alive(self) -> bool:
        """Whether the twin runs, and this process holds it (and not the parent of a fork)."""
        return self._owner == os.getpid() and self.holders() > 0

    def holders(self) -> int:
        """How many processes hold it, this one included; 0 once it has ended."""
        while self._holders:
            try:
                told = self._connection.recv(4096)
            except BlockingIOError:
                break
            except OSError:
                told = b""
            self._holders = _count(told, self._holders) if told else 0
        return self._holders

    def close(self) -> None:
        """Let go. Waits until it has ended, where nobody else holds it."""
        if self._owner != os.getpid():
            return
        last = self.holders() == 1
        self._connection.close()
        self._holders = 0
        until_s = time.monotonic() + _WAIT_S
        while last and time.monotonic() < until_s and (still := _connected(self.url)):
            still.close()
            time.sleep(_POLL_S)

    def measure(self) -> IO[bytes] | None:
        """Keep others from measuring on it until this is closed: their figures would be of both.
        None where another one measures."""
        file = self._bench.open("a+b")
        if _lock(file):
            return file
        file.close()
        return None


Twin = Hold | process.TwinProcess | InsideTwin
_held: dict[tuple[str, float, str], Twin] = {}
_taking = threading.Lock()


def held(profile: str, speed: float, sglang: str) -> Twin:
    """The twin of these settings, held by this process; started where none runs. Where no folder
    can be kept from others, a twin of this process alone.

    Raises LaunchError where it does not start.
    """
    settings = profile, speed, sglang
    with _taking:
        twin = _held.get(settings)
        if twin is None or not twin.alive:
            if not _held:
                atexit.register(let_go)
            twin = _held[settings] = _take(*settings)
        return twin


def let_go(url: str | None = None) -> None:
    """Let go of the twin at `url`, or of all; one that nobody else holds ends."""
    with _taking:
        for settings, twin in list(_held.items()):
            if url in (None, twin.url):
                twin.close()
                del _held[settings]


def measure_on(url: str) -> contextlib.AbstractContextManager[Any] | None:
    """Keep other processes from measuring on the twin at `url` until this is closed; None where
    one does. A server that this process does not hold is not kept from anybody."""
    twin = next((one for one in _held.values() if one.url == url), None)
    if isinstance(twin, Hold) and twin.alive:
        return twin.measure()
    return contextlib.nullcontext()


def _take(profile: str, speed: float, sglang: str) -> Twin:
    if page.HERE:
        return start(profile, speed, sglang)
    folder = private_folder()
    if folder is None:
        return process.start(profile, speed, sglang)
    name = hashlib.sha256(f"{profile} {speed!r} {sglang} {_program()}".encode()).hexdigest()[:16]
    record, bench = folder / f"{name}.json", folder / f"{name}.bench"
    with _locked(folder / f"{name}.lock"):
        held = _join(record, bench)
        if held is None:
            where = process.start_shared(profile, speed, sglang)
            write_text(record, json.dumps(where))
            held = _join(record, bench)
    # one that ended at once, of itself: none to share
    return held or process.start(profile, speed, sglang)


def private_folder() -> Path | None:
    """The folder of the files, of this machine and this user alone; None where there is none, or
    where files cannot be locked."""
    if posix_locks is None and windows_locks is None:
        return None
    runtime = os.environ.get("XDG_RUNTIME_DIR") or os.environ.get("LOCALAPPDATA")
    user = os.getuid() if hasattr(os, "getuid") else None  # Windows' own folders are private
    folder = Path(runtime or tempfile.gettempdir()) / (
        "qwen35-kit" if runtime else f"qwen35-kit-{user}"
    )
    folder = Path(os.environ.get(FOLDER) or folder)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode):
            return None
        if user is not None and (found.st_uid != user or found.st_mode & 0o077):
            return None
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return None


@cache
def _program() -> str:
    """What a twin of this process would run: the interpreter, and the files of the kit."""
    seen = hashlib.sha256(sys.executable.encode())
    for folder, inner, files in os.walk(_PACKAGE):
        inner[:] = sorted(set(inner) - {"__pycache__", "notebooks", "node_modules"})
        for file in sorted(files):
            found = os.stat(os.path.join(folder, file))
            seen.update(f"{folder}/{file} {found.st_mtime_ns} {found.st_size}\n".encode())
    return seen.hexdigest()


def _join(record: Path, bench: Path) -> Hold | None:
    """Hold the twin that a file describes; None where it is gone, or is another program."""
    try:
        where = json.loads(record.read_text(encoding="utf-8"))
        url, pid, key = str(where["url"]), int(where["pid"]), str(where["key"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
    challenge = secrets.token_hex(32)
    asked = (
        f"GET {PATH} HTTP/1.1\r\nhost: {url.partition('://')[2]}\r\n"
        f"x-kit-hold: {os.getpid()} {challenge} {sign(key, 'holder', challenge)}\r\n\r\n"
    )
    connection = _connected(url)
    try:
        said = connection and _answer(connection, asked, sign(key, "twin", challenge))
    except OSError:
        said = b""
    if connection and said:
        return Hold(url, pid, connection, said, bench)
    if connection:
        connection.close()
    return None


def _answer(connection: socket.socket, asked: str, proof: str) -> bytes:
    """What the twin answers to a request; empty where the other side does not prove to be it."""
    until_s = time.monotonic() + _WAIT_S
    connection.sendall(asked.encode())
    said = b""
    while proof.encode() not in said or not _COUNT.search(said):
        piece = connection.recv(4096)
        said += piece
        if not piece or len(said) > _MOST_SAID or time.monotonic() > until_s:
            return b""
    connection.setblocking(False)
    return said


def _count(said: bytes, known: int) -> int:
    """How many hold it, by the last that was said of it."""
    counts = _COUNT.findall(said)
    return int(counts[-1]) if counts else known


def _connected(url: str) -> socket.socket | None:
    host, _, port = url.rpartition("://")[2].partition(":")
    try:
        return socket.create_connection((host, int(port)), _WAIT_S)
    except (OSError, ValueError):
        return None


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait for a file's lock and hold it; the system lets it go when the process ends."""
    with path.open("a+b") as file:
        while not _lock(file):
            time.sleep(_POLL_S)
        yield


def _lock(file: IO[bytes]) -> bool:
    """Take a file's lock; False where another one has it."""
    try:
        if posix_locks is not None:
            posix_locks.flock(file, posix_locks.LOCK_EX | posix_locks.LOCK_NB)
        else:
            file.seek(0)
            windows_locks.locking(file.fileno(), windows_locks.LK_NBLCK, 1)
    except OSError:
        return False
    return True
