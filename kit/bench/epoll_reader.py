"""Reading all plain connections in a thread of their own (Linux).

    the loop's thread    sends requests, samples, draws; learns when an answer has ended
    the reader           waits for bytes, stamps them, keeps them; nothing else

So a busy loop, as a notebook's is while it draws, does not make a server look slow; and a read
costs the read, not the selector key, handle and context of a loop's own transport. Where there is
no epoll, and for TLS, the loop's transports serve.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

AVAILABLE = hasattr(select, "epoll")
_READ = 1 << 16
_TURN_S = 0.0005  # how long the reader may wait for Python that runs elsewhere; else it is 5 ms

P = TypeVar("P", bound=asyncio.Protocol)


class Gate:
    """Plain connections to one server. Protocols are called in the reader's thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._poll = select.epoll()
        self._lines: dict[int, _Line] = {}
        self._address: tuple[int, tuple[object, ...]] | None = None
        self._bell, self._rope = os.pipe()
        self._poll.register(self._bell, select.EPOLLIN)
        self._turn_s = sys.getswitchinterval()
        sys.setswitchinterval(_TURN_S)
        self._reader = threading.Thread(target=self._read, name="kit.bench", daemon=True)
        self._reader.start()

    async def connect(self, make: Callable[[], P], host: str, port: int) -> P:
        """A connection with a protocol of its own. Raises OSError when no address answers."""
        if self._address is not None:
            return self._attach(make, await self._open(*self._address))
        problem: OSError | None = None
        found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        for family, _, _, _, address in found:
            try:
                sock = await self._open(family, address)
            except OSError as error:
                problem = problem or error
                continue
            self._address = (family, address)
            return self._attach(make, sock)
        raise problem or OSError(f"{host} has no address")

    def close(self) -> None:
        """End the reader, and hang up whatever is left."""
        if self._poll.closed:
            return
        os.write(self._rope, b"!")
        self._reader.join()
        sys.setswitchinterval(self._turn_s)
        for line in list(self._lines.values()):
            line.release()
        self._poll.close()
        os.close(self._bell)
        os.close(self._rope)

    def forget(self, fileno: int) -> None:
        """Read a connection no more; in the reader's thread."""
        if self._lines.pop(fileno, None) is not None:
            self._poll.unregister(fileno)

    async def _open(self, family: int, address: tuple[object, ...]) -> socket.socket:
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.sock_connect(sock, address)
        except BaseException:
            sock.close()
            raise
        return sock

    def _attach(self, make: Callable[[], P], sock: socket.socket) -> P:
        protocol = make()
        line = self._lines[sock.fileno()] = _Line(self, self._loop, sock, protocol)
        protocol.connection_made(line)
        self._poll.register(sock.fileno(), select.EPOLLIN)
        return protocol

    def _read(self) -> None:
        wait, lines = self._poll.poll, self._lines
        while True:
            for fileno, _ in wait():
                line = lines.get(fileno)
                if line is not None:
                    line.read()
                elif fileno == self._bell:
                    return


class _Line(asyncio.Transport):
    """One connection, as much of a transport as a measuring protocol needs.

    Only the loop's thread closes the socket, and only after the reader has forgotten it: so
    neither ever meets a file number that is another connection's by now.
    """

    def __init__(
        self,
        gate: Gate,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        protocol: asyncio.Protocol,
    ) -> None:
        super().__init__()
        self._gate = gate
        self._loop = loop
        self._sock = sock
        self._recv = sock.recv
        self._received = protocol.data_received
        self._protocol = protocol
        self._unsent = b""

    def read(self) -> None:
        try:
            data = self._recv(_READ)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._end(error)
            return
        if data:
            self._received(data)
        else:
            self._protocol.eof_received()
            self._end(None)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        waiting = bool(self._unsent)
        self._unsent += bytes(data)
        if not waiting:
            self._flush()

    def abort(self) -> None:
        with contextlib.suppress(OSError):  # gone already
            self._sock.shutdown(socket.SHUT_RDWR)  # the reader reads the end of it

    def release(self) -> None:
        """Close the socket; in the loop's thread."""
        if self._sock.fileno() >= 0:
            self._loop.remove_writer(self._sock.fileno())
            self._sock.close()

    def _flush(self) -> None:
        try:
            sent = self._sock.send(self._unsent)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self.abort()
            return
        self._unsent = self._unsent[sent:]
        if self._unsent:
            self._loop.add_writer(self._sock.fileno(), self._flush)
        elif sent:
            self._loop.remove_writer(self._sock.fileno())

    def _end(self, problem: OSError | None) -> None:
        self._gate.forget(self._sock.fileno())
        self._protocol.connection_lost(problem)
        self._loop.call_soon_threadsafe(self.release)
