"""Reading all plain connections in a thread of their own (Linux).

    the loop's thread    sends requests, samples, draws; hears when an answer has ended
    the reader's thread  waits for bytes, stamps them, keeps them; nothing else

So a busy loop, such as a notebook's while it draws, does not make a server look slow. And a read
costs only the read: no selector key, handle and context as in the loop's own transports. Without
epoll, and for TLS, the loop's transports are used.
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
_SWITCH_INTERVAL_S = 0.0005  # Python threads take turns this often, not every 5 ms: stamps wait

P = TypeVar("P", bound=asyncio.Protocol)


class EpollReader:
    """Plain connections to one server. Protocols are called in the reader's thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._poll = select.epoll()
        self._transports: dict[int, _Transport] = {}
        self._address: tuple[int, tuple[object, ...]] | None = None
        self._wake_read, self._wake_write = os.pipe()
        self._poll.register(self._wake_read, select.EPOLLIN)
        self._switch_interval_s = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
        self._thread = threading.Thread(target=self._read, name="kit.bench", daemon=True)
        self._thread.start()

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
        """End the thread, and close the connections that are left."""
        if self._poll.closed:
            return
        os.write(self._wake_write, b"!")
        self._thread.join()
        sys.setswitchinterval(self._switch_interval_s)
        for transport in list(self._transports.values()):
            transport.release()
        self._poll.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def forget(self, fileno: int) -> None:
        """Stop reading a connection; in the reader's thread."""
        if self._transports.pop(fileno, None) is not None:
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
        transport = _Transport(self, self._loop, sock, protocol)
        self._transports[sock.fileno()] = transport
        protocol.connection_made(transport)
        self._poll.register(sock.fileno(), select.EPOLLIN)
        return protocol

    def _read(self) -> None:
        wait, transports = self._poll.poll, self._transports
        while True:
            for fileno, _ in wait():
                transport = transports.get(fileno)
                if transport is not None:
                    transport.read()
                elif fileno == self._wake_read:
                    return


class _Transport(asyncio.Transport):
    """One connection: as much of a transport as a measuring protocol needs.

    Only the loop's thread closes the socket, and only after the reader has forgotten it. So
    neither thread uses a file number that another connection has by now.
    """

    def __init__(
        self,
        reader: EpollReader,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        protocol: asyncio.Protocol,
    ) -> None:
        super().__init__()
        self._reader = reader
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
        self._reader.forget(self._sock.fileno())
        self._protocol.connection_lost(problem)
        self._loop.call_soon_threadsafe(self.release)
